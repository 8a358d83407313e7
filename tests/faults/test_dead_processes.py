"""Workers and the planning process killed while a study runs, as by a preemption or for want of memory."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from cmae_ablate.runner import workers
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from tests.faults.aftermath import OF_THE_MOMENT, assert_as_undisturbed, read_until, workers_of
from tests.whole_study import (
    LONGER,
    control_trials,
    optuna_trials,
    quiet,
    run,
    said,
    start,
    wait_for_a_checkpoint,
    write_study,
)

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_worker_less_is_no_lost_study(
    number: signal.Signals, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out)
    read_until(process, ": epoch ")
    workers_of(process, 2)[0].send_signal(number)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    if number == signal.SIGKILL:
        assert "ended with status 137" in output
    assert_as_undisturbed(out, undisturbed)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_are_forked_and_need_nobody_who_forked_them(
    undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out)
    read_until(process, ": epoch ")
    (server,) = {worker.ppid() for worker in workers_of(process, 2)}
    assert server != process.pid
    os.kill(server, signal.SIGKILL)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    assert_as_undisturbed(out, undisturbed)


@pytest.mark.slow
@pytest.mark.distributed
def test_a_study_whose_every_worker_was_killed_says_so_and_goes_on(
    undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out)
    read_until(process, ": epoch ")
    for worker in workers_of(process, 2):
        worker.kill()
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 1, output
    assert "every worker ended before these cells were done" in output
    assert "fewer --workers" in output
    assert "Traceback" not in output
    assert run(study, out, settings=LONGER) == 0
    assert_as_undisturbed(out, undisturbed)


def test_dead_workers_are_told_from_a_finished_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    monkeypatch.setattr(workers, "launch", lambda *arguments: [137, 137])
    console = quiet()
    assert run_study(Options(study, workers=2, device="cpu", out=out), console) == 1
    assert "waiting: depth 1, seed 0" in said(console)
    assert "every worker ended before these cells were done" in said(console)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("moment", ["while it opens the stores", "while workers train"])
def test_the_planning_process_may_die(moment: str, undisturbed: pd.DataFrame, tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out)
    if moment == "while workers train":
        wait_for_a_checkpoint(out, process)
        left = workers_of(process, 2)
    else:
        while not (out / "optuna.db").exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)
        left = []
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=600)  # ends when the last worker has closed the output they share
    assert psutil.wait_procs(left, timeout=300)[1] == []
    if left:
        assert all(trial.state.name != "RUNNING" for trial in optuna_trials(out))
    assert run(study, out, settings=LONGER) == 0
    assert_as_undisturbed(out, undisturbed)


@pytest.mark.slow
@pytest.mark.distributed
def test_a_study_killed_while_it_trains_a_control_goes_on_and_ends_alike(
    undisturbed: pd.DataFrame, undisturbed_controls: pd.DataFrame, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out)
    read_until(process, "positive control, seed 0: epoch ")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    before = [trial.user_attrs["cell"] for trial in control_trials(out) if trial.state.name == "COMPLETE"]
    assert any(trial.state.name == "RUNNING" for trial in control_trials(out))
    assert run(study, out, settings=LONGER) == 0
    assert_as_undisturbed(out, undisturbed)
    after = [trial.user_attrs["cell"] for trial in control_trials(out) if trial.state.name == "COMPLETE"]
    assert after[: len(before)] == before
    mine = pd.read_csv(out / "study" / "controls.csv")
    compared = [name for name in mine if not name.startswith(OF_THE_MOMENT)]
    pd.testing.assert_frame_equal(mine[compared], undisturbed_controls[compared], rtol=0, atol=0)
