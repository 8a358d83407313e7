"""The whole study killed with -9, again and again, at moments that nobody chose."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from cmae_ablate.runner.experiment import Places
from tests.whole_study import LONGER, optuna_trials, run, start, wait_for_a_checkpoint, write_study

# MLflow's own dependencies warn about each other.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def test_three_kills_of_the_whole_study_leave_the_weights_of_an_undisturbed_one(
    undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    moments = random.Random(0)
    for _ in range(3):
        process = start(study, out)
        wait_for_a_checkpoint(out, process)
        time.sleep(moments.uniform(0, 2))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    assert run(study, out, settings=LONGER) == 0
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert list(trials["weights_sha256"]) == list(undisturbed["weights_sha256"])
    done = [trial.user_attrs["cell"] for trial in optuna_trials(out) if trial.state.name == "COMPLETE"]
    assert Counter(done) == dict.fromkeys(done, 1)
    assert len(done) == 4
    client = MlflowClient(Places.below(out).tracking)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert not [run for run in runs if run.info.status == "RUNNING"]
