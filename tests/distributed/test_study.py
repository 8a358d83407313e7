"""A whole study by two ranks: undisturbed, told to stop, and with a rank killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from mlflow import MlflowClient

from cmae_ablate.runner.experiment import Places
from tests.distributed.processes import free_port
from tests.whole_study import LONGER, ROOT, optuna_trials, run, wait_for_a_checkpoint, write_study

# MLflow's own dependencies warn about each other.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.distributed,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
CELLS = [("depth 1", 0), ("linear", 0)]


def worker(study: Path, out: Path) -> list[str]:
    command = ["-m", "cmae_ablate", "worker", str(study), "--device", "cpu", "--out", str(out)]
    return [*command, "--seeds", "1", "--set", LONGER[0]]


def started(command: list[str], **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def torchrun(study: Path, out: Path) -> subprocess.Popen[str]:
    where = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    return started(["-m", "torch.distributed.run", *where, *worker(study, out)])


def finished(study: Path, out: Path) -> dict[str, dict[str, Any]]:
    """What is recorded of each cell once ranks have run the study to its end."""
    process = torchrun(study, out)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    done = [trial.user_attrs for trial in optuna_trials(out) if trial.state.name == "COMPLETE"]
    assert sorted((cell["variant"], cell["seed"]) for cell in done) == CELLS
    return {cell["variant"]: cell["results"] for cell in done}


@pytest.fixture(scope="module")
def undisturbed_ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The folder of a study that nobody disturbed, and what is recorded of its cells."""
    folder = tmp_path_factory.mktemp("undisturbed_ranks")
    return folder, finished(write_study(folder), folder / "runs")


def same(found: dict[str, dict[str, Any]], undisturbed: dict[str, dict[str, Any]]) -> bool:
    return all(
        found[cell][key] == results[key] and found[cell]["metrics"][metric] == results["metrics"][metric]
        for cell, results in undisturbed.items()
        for key in ("weights_sha256", "device")
        for metric in ("pretrain.loss", "knn.top1")
    )


def test_two_ranks_complete_every_cell_with_one_run_each(
    undisturbed_ranks: tuple[Path, dict[str, dict[str, Any]]],
) -> None:
    folder, found = undisturbed_ranks
    out = folder / "runs"
    assert run(folder / "study.yaml", out, settings=LONGER, seeds=1) == 0  # finds all done, and reports
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert list(trials["weights_sha256"]) == [found[variant]["weights_sha256"] for variant, _ in CELLS]
    assert all(device.startswith("2 x cpu: ") for device in trials["device"])
    assert [trial.state.name for trial in optuna_trials(out)] == ["COMPLETE"] * 2
    client = MlflowClient(Places.below(out).tracking)
    experiment = client.get_experiment_by_name("study")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert Counter(run.data.params["seed"] for run in runs if "seed" in run.data.params) == {"0": 2}


@pytest.mark.parametrize("rank", [0, 1])
def test_after_a_kill_of_one_rank_the_same_command_ends_alike(
    rank: int, undisturbed_ranks: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = torchrun(study, out)
    wait_for_a_checkpoint(out, process)
    victims = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.environ().get("RANK") == str(rank)
    ]
    victims[0].kill()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 1, output
    assert rank == 0 or "a rank was lost; start the same command again" in output
    assert same(finished(study, out), undisturbed_ranks[1])
    broken = [trial for trial in optuna_trials(out) if trial.state.name == "FAIL"]
    assert [trial.user_attrs["counts"] for trial in broken] == [False]


def test_ranks_of_which_one_is_told_to_stop_all_end_with_143_and_go_on_later(
    undisturbed_ranks: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    ranks = [started(worker(study, out), RANK=str(rank), **meeting) for rank in range(2)]
    wait_for_a_checkpoint(out, ranks[0])
    ranks[1].send_signal(signal.SIGTERM)
    outputs = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [143, 143], outputs
    assert all(trial.state.name != "RUNNING" for trial in optuna_trials(out))
    assert same(finished(study, out), undisturbed_ranks[1])
