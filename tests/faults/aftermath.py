"""What every fault must leave behind: each cell complete exactly once, and an undisturbed study's results."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from subprocess import Popen

import pandas as pd
import psutil
from mlflow import MlflowClient
from optuna.trial import FrozenTrial

from cmae_ablate.runner.experiment import Places
from tests.whole_study import control_trials, optuna_trials

# What may differ between two runs on one machine.
OF_THE_MOMENT = ("seconds.", "memory.")


def assert_as_undisturbed(
    out: Path, undisturbed: pd.DataFrame, trials: list[FrozenTrial] | None = None, tracking: str | None = None
) -> None:
    """Every cell complete once, with the very numbers of an undisturbed study, and no run RUNNING."""
    mine = pd.read_csv(out / "study" / "trials.csv")
    compared = [name for name in undisturbed if not name.startswith(OF_THE_MOMENT)]
    pd.testing.assert_frame_equal(mine[compared], undisturbed[compared], rtol=0, atol=0)
    done = _complete_once(optuna_trials(out) if trials is None else trials)
    assert len(done) == len(undisturbed)
    if trials is None:
        _complete_once(control_trials(out))
    assert statuses(tracking or Places.below(out).tracking) == {"FINISHED"}


def _complete_once(trials: list[FrozenTrial]) -> list[str]:
    done = [trial.user_attrs["cell"] for trial in trials if trial.state.name == "COMPLETE"]
    assert Counter(done) == dict.fromkeys(done, 1)
    return done


def statuses(tracking: str) -> set[str]:
    """Of every run in an MLflow store."""
    client = MlflowClient(tracking)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return {run.info.status for run in client.search_runs(experiments)}


def workers_of(study: Popen[str], count: int) -> list[psutil.Process]:
    """The worker processes of a running study, once there are `count`."""
    deadline = time.monotonic() + 300
    while True:
        found = [
            child
            for child in psutil.Process(study.pid).children(recursive=True)
            # A forked one's command is one string.
            if child.status() != psutil.STATUS_ZOMBIE and "worker" in " ".join(child.cmdline()).split()
        ]
        if len(found) == count:
            return found
        assert study.poll() is None, study.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def read_until(study: Popen[str], marker: str) -> str:
    """What a study printed up to and with the line that holds the marker."""
    assert study.stdout is not None
    lines: list[str] = []
    for line in study.stdout:
        lines.append(line)
        if marker in line:
            return "".join(lines)
    study.wait(timeout=60)
    study.stdout.close()
    raise AssertionError(f"{marker!r} was never printed:\n{''.join(lines)}")
