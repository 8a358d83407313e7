"""Workers as an array job on a real cluster of one node, which the test sets up on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.runner.launch.slurm_cluster import Cluster, running_cluster, why_not
from tests.whole_study import control_trials, optuna_trials, start, wait_for_a_checkpoint, write_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.distributed,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with running_cluster() as cluster:
        yield cluster


def wait(condition: Callable[[], object], cluster: Cluster) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, cluster.logs()
        time.sleep(0.1)


def job_of(cluster: Cluster, name: str) -> str:
    (job,) = set(cluster.call("squeue", "--noheader", "--format=%F", f"--name={name}").split())
    return job


def is_training(out: Path, task: int) -> bool:
    """Whether a task holds a cell, as the queue has it."""
    trials = [*optuna_trials(out), *control_trials(out)]
    return any(
        each.state.name == "RUNNING" and each.user_attrs["log"].endswith(f"/worker-{task}.log")
        for each in trials
    )


def test_preempted_requeued_out_of_time_and_cancelled_tasks_change_no_result(
    cluster: Cluster, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out, over = write_study(tmp_path), tmp_path / "ru ns%41", tmp_path / "over"
    process = start(
        study, out, "--launcher", "slurm", "--slurm", "job-name=ours", variables=cluster.variables
    )
    wait_for_a_checkpoint(out, process)
    job = job_of(cluster, "ours")
    first, second = f"{job}_0", f"{job}_1"

    # Preempted, both of them, by a job that keeps the node until the file is there.
    waits = f"while [ ! -e '{over}' ]; do sleep 0.1; done"
    cluster.call("sbatch", "--partition=high", "--ntasks=2", "--output=/dev/null", f"--wrap={waits}")
    wait(lambda: cluster.tasks(job) == {"0": "PENDING", "1": "PENDING"}, cluster)
    cluster.call("scontrol", "hold", second)  # from here on the other one is alone, whatever is how quick
    over.touch()

    wait(lambda: is_training(out, 0), cluster)
    cluster.call("scontrol", "requeue", first)
    wait(lambda: cluster.tasks(job)["0"] == "PENDING", cluster)

    wait(lambda: is_training(out, 0), cluster)
    cluster.call("scontrol", "update", f"JobId={first}", "TimeLimit=1")
    wait(lambda: cluster.tasks(job)["0"] == "PENDING", cluster)
    cluster.call("scontrol", "update", f"JobId={first}", "TimeLimit=UNLIMITED")

    wait(lambda: is_training(out, 0), cluster)
    cluster.call("scancel", first)
    wait(lambda: cluster.tasks(job) == {"1": "PENDING"}, cluster)
    cluster.call("scontrol", "release", second)

    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert list(trials["weights_sha256"]) == list(undisturbed["weights_sha256"])
    for found in (optuna_trials(out), control_trials(out)):
        complete = [each.user_attrs["cell"] for each in found if each.state.name == "COMPLETE"]
        assert len(complete) == len(set(complete))
        assert not any(each.user_attrs.get("died") or each.user_attrs.get("counts") for each in found)
    assert len(optuna_trials(out)) > 4  # what was interrupted was at a cell
    assert cluster.tasks(job) == {}


def test_ctrl_c_cancels_the_job_and_says_130(cluster: Cluster, tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out, "--launcher", "slurm", variables=cluster.variables)
    wait_for_a_checkpoint(out, process)
    job = job_of(cluster, "cmae-ablate")
    process.send_signal(2)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 130, output
    assert cluster.tasks(job) == {}
    assert all(each.state.name != "RUNNING" for each in optuna_trials(out))
