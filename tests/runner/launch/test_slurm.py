"""An array job as sbatch, squeue, scancel and scontrol see it; `test_slurm_cluster.py` has real ones."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner import stopping
from cmae_ablate.runner.launch import slurm
from cmae_ablate.runner.launch.slurm import ArrayJob, go_back_to_the_queue, run_workers
from tests.runner.launch.fake_slurm import FakeSlurm

COMMAND = (
    "sh",
    "-c",
    'echo "$SECRET $OMP_NUM_THREADS $0"; echo "$CMAE_ABLATE_LOG" >"$CMAE_ABLATE_LOG.done"',
    "it's",
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.01)
    return FakeSlurm(tmp_path / "bin", monkeypatch)


def array(logs: Path, *options: str, workers: int = 2) -> ArrayJob:
    logs.mkdir(parents=True, exist_ok=True)
    return ArrayJob(COMMAND, workers, options, {"SECRET": "hunter2"}, logs, 3)


def never() -> bool:
    return False


def test_each_task_runs_the_command_in_the_given_environment_and_knows_its_own_log(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    fake.starts_tasks()
    logs = tmp_path / "ru n's%41"
    files = [logs / f"worker-{index}.log" for index in range(2)]
    done = [path.with_name(f"{path.name}.done") for path in files]
    deadline = time.monotonic() + 60

    def is_done() -> bool:  # squeue does not answer: the queue of cells alone says when it is over
        assert time.monotonic() < deadline
        return all(path.exists() and path.read_text() for path in done)

    told: list[str] = []
    assert run_workers(array(logs), is_done, told.append) == [0, 0]
    assert [path.read_text() for path in files] == ["hunter2 3 it's\n"] * 2
    assert [path.read_text() for path in done] == [f"{path}\n" for path in files]
    assert "job 7" in told[0]
    assert "scancel 7" in told[0]


def test_the_job_is_an_array_that_is_requeued_warned_and_appends_to_its_logs(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    assert array(tmp_path / "lo gs", "--time=60", "--cpus-per-task=8", workers=5).submit() == "7"
    (arguments,) = fake.calls("sbatch")
    for expected in ("--array=0-4", "--requeue", "--signal=B:TERM@120", "--open-mode=append"):
        assert expected in arguments
    assert f"--output={tmp_path}/lo gs/worker-%a.log" in arguments
    assert not any("hunter2" in each for each in arguments)
    assert fake.environment()["SECRET"] == "hunter2"
    # sbatch takes the last of several: the user's own.
    assert arguments.index("--cpus-per-task=3") < arguments.index("--cpus-per-task=8")
    assert "--time=60" in arguments


def test_what_sbatch_refuses_is_said_in_its_own_words(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.refuses("sbatch", "sbatch: error: invalid partition specified: nowhere\nsbatch: error: it failed\n")
    with pytest.raises(UserError) as caught:
        run_workers(array(tmp_path), never, print)
    assert "invalid partition specified: nowhere; sbatch: error: it failed" in str(caught.value)
    assert "--slurm" in str(caught.value)


def test_a_machine_without_sbatch_is_told_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no sbatch on this machine's PATH; .* login node"):
        array(tmp_path).submit()


def test_exit_statuses_come_back_in_order_once_no_task_is_left(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.says("2 FAILED 512\n0 COMPLETED 0\n1 CANCELLED 9\n")  # as wait(2) has them
    assert run_workers(array(tmp_path, workers=3), never, print) == [0, 128 + 9, 2]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "PREEMPTED", "REQUEUED", "SUSPENDED"])
def test_a_task_that_may_run_again_is_waited_for(fake: FakeSlurm, tmp_path: Path, state: str) -> None:
    fake.says(f"0 {state} 0\n")
    looks: list[None] = []

    def look() -> bool:
        looks.append(None)
        if len(looks) == 4:
            fake.says("0 FAILED 256\n")
        return False

    assert run_workers(array(tmp_path, workers=1), look, print) == [1]
    assert len(looks) >= 5


def test_tasks_that_wait_in_vain_are_cancelled_once_no_cell_is_left(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.says("0 COMPLETED 0\n1 PENDING 0\n")
    assert run_workers(array(tmp_path), lambda: True, print) == [0, 0]
    assert fake.calls("scancel")[0] == ["--state=PENDING", "7"]


def test_the_first_signal_cancels_the_job_and_waits_for_its_tasks(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.says("0 PENDING 0\n1 PENDING 0\n")  # the fake scancel ends those

    def interrupt() -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return False

    assert run_workers(array(tmp_path), interrupt, print) == [143, 143]
    assert fake.calls("scancel") == [["7"]]


def test_a_job_that_cannot_be_cancelled_is_named(
    fake: FakeSlurm, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.refuses("scancel", "scancel: error: no controller\n")  # and squeue does not answer either

    def interrupt() -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return False

    assert run_workers(array(tmp_path), interrupt, print) == [130, 130]
    assert "not cancelled (scancel: error: no controller); give 'scancel 7' by hand" in capfd.readouterr().err


def test_the_second_signal_waits_no_longer(
    fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "SAME_SECONDS", 0.0)
    fake.says("0 RUNNING 0\n1 COMPLETING 0\n")

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 60
        while not fake.calls("scancel") and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    assert run_workers(array(tmp_path), never, lambda _: thread.start()) == [130, 130]
    thread.join()
    assert fake.calls("scancel") == [["7"]]


def in_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("CMAE_ABLATE_SLURM_TASK", "1")


def test_a_task_that_is_out_of_time_goes_back_to_the_queue(
    fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_task(monkeypatch)
    fake.says("RUNNING\n")
    go_back_to_the_queue(143)
    assert fake.calls("scontrol") == [["requeue", "7_1"]]


@pytest.mark.parametrize("state", ["COMPLETING\n", "CANCELLED\n", ""])
def test_a_cancelled_task_does_not_go_back_and_neither_does_one_that_slurm_requeues(
    fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    in_a_task(monkeypatch)
    fake.says(state)
    go_back_to_the_queue(143)
    assert fake.calls("scontrol") == []


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_a_task_that_ended_by_itself_does_not_go_back(
    fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    in_a_task(monkeypatch)
    fake.says("RUNNING\n")
    go_back_to_the_queue(status)
    assert fake.calls("scontrol") == []


def test_a_worker_in_an_allocation_of_the_users_own_is_no_task(
    fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_task(monkeypatch)
    monkeypatch.delenv("CMAE_ABLATE_SLURM_TASK")
    fake.says("RUNNING\n")
    go_back_to_the_queue(143)
    assert fake.calls("squeue") == fake.calls("scontrol") == []
