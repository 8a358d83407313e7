"""Runs that MLflow did not get to hear of while it was away."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.runner.experiment import Places
from tests.whole_study import run, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_what_an_outage_held_back_is_made_up_for_from_queue_and_cache(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    study, out = write_study(tmp_path), tmp_path / "runs"
    assert run(study, out, seeds=1, tracking="http://127.0.0.1:1") == 0
    assert list(out.rglob("*.jsonl")) == []  # nothing waits on disk but the results themselves
    assert run(study, out, seeds=1) == 0  # trains nothing
    client = MlflowClient(Places.below(out).tracking)
    experiment = client.get_experiment_by_name("study")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {each.info.status for each in runs} == {"FINISHED"}
    cells = [each for each in runs if "seed" in each.data.tags]
    assert sorted(each.data.tags["variant"] for each in cells) == ["depth 1", "linear"]
    for each in cells:
        losses = client.get_metric_history(each.info.run_id, "loss")
        assert [metric.step for metric in losses] == [1, 2]
        assert each.data.params["training.epochs"] == "2"
        assert "knn/top1" in each.data.metrics
        folder = Path(each.info.artifact_uri.removeprefix("file://"))
        assert {path.name for path in folder.iterdir()} == {
            "configuration.json",
            "pictures",
            "protocols.json",
        }
