"""What a search's tuning may see: no number and no image of the test split."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.queue import CellStatus, Proposals
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import report_csv
from cmae_ablate.runner.tuning import on_validation, search_frame, tuning_of, without_test
from tests.runner.test_search import RATES, search_study
from tests.whole_study import quiet


def test_numbers_on_test_images_are_dropped_and_costs_are_kept() -> None:
    metrics = {
        "knn.top1": 50.0,
        "knn.validation_top1": 40.0,
        "linear_probe.l2": 0.1,
        "linear_probe.validation_top1": 30.0,
        "linear_probe.top1@l2=0.1": 31.0,
        "linear_probe.validation_top1@l2=0.1": 30.0,
        "pretrain.loss": 0.5,
        "pretrain.position.accuracy": 0.9,
        "params.encoder": 10.0,
        "flops.pretrain_image": 11.0,
        "seconds.pretrain": 12.0,
        "memory.pretrain": 13.0,
    }
    hidden = {
        "knn.top1",
        "linear_probe.l2",
        "linear_probe.top1@l2=0.1",
        "linear_probe.validation_top1@l2=0.1",
    }
    assert on_validation(metrics) == {name: value for name, value in metrics.items() if name not in hidden}


def test_validation_images_stand_in_the_place_of_test_images(tiny_data: DataArrays) -> None:
    found = without_test(tiny_data)
    assert np.array_equal(found.test.images, tiny_data.validation.images)
    assert not np.array_equal(found.test.images, tiny_data.test.images)
    # Nothing that is cached for one can be taken for the other.
    assert found.digest != tiny_data.digest
    assert replace(found, test=tiny_data.test, digest=tiny_data.digest) == tiny_data


# MLflow's own dependencies warn about each other.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_what_a_search_writes_its_report_reads_and_tells_which_key_mattered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A key of yes and no worth 3 points, and three decades of rates worth 3 points from end to end: variances
    # of 9/4 and 9/12, three quarters and a quarter.
    monkeypatch.setattr("cmae_ablate.report.importance.SHUFFLES", 1)
    space = f"{RATES}, training.shared_mask: [true, false]"
    study, out = search_study(tmp_path, trials=40, space=space), tmp_path / "runs"
    options = Options(study, device="cpu", out=out)
    experiment = options.begin(options.load(), quiet())
    search = experiment.study.search
    assert search is not None
    proposals, statuses = Proposals(search), []
    for cell in tuning_of(experiment).planned:
        tried = dict(proposals.propose(cell, ()).settings)
        value = (
            40 + math.log10(float(str(tried["training.base_lr"]))) + 3 * bool(tried["training.shared_mask"])
        )
        statuses.append(CellStatus(cell, "COMPLETE", value=value, settings=tried))
    search_frame(experiment, statuses).to_csv(tmp_path / "search.csv", index=False)
    rows = ["depth 1,0,COMPLETE,30.0", "linear,0,COMPLETE,31.0"]
    (tmp_path / "trials.csv").write_text("\n".join(["variant,seed,state,knn.top1", *rows, ""]))
    report_csv(options, tmp_path / "trials.csv", quiet())
    table = pd.read_csv(out / "importance.csv")
    assert list(table["variant"]) == ["depth 1", "depth 1", "linear", "linear"]
    assert set(table["trials"]) == {40}
    by_key = table.groupby("key")["importance"].mean()
    assert by_key["training.shared_mask"] == pytest.approx(0.75, abs=0.1)
    assert by_key["training.base_lr"] == pytest.approx(0.25, abs=0.1)
