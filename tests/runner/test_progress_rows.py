"""`progress.csv` of a whole study: it ends with the table's numbers, and says what it does not know."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.runner.options import Options
from cmae_ablate.runner.progress_rows import on_validation
from cmae_ablate.runner.reporting import report_again
from tests.whole_study import quiet, run, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
EPOCHS, PROBES = "training.epochs=3", "training.probe_epochs=[1, 2]"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four cells, probed after epochs 1 and 2 of 3."""
    folder = tmp_path_factory.mktemp("probed")
    assert run(write_study(folder), folder / "runs", settings=(EPOCHS, PROBES)) == 0
    return folder


def test_progress_csv_ends_with_the_numbers_of_trials_csv(finished: Path) -> None:
    found = pd.read_csv(finished / "runs" / "study" / "progress.csv")
    trials = pd.read_csv(finished / "runs" / "study" / "trials.csv").set_index(["variant", "seed"])
    assert list(found.columns) == ["variant", "seed", "epoch", "metric", "value"]
    assert set(found["metric"]) == {"knn.validation_top1"}
    assert len(found) == 4 * 3
    last = found[found["epoch"] == 3].set_index(["variant", "seed"])["value"]
    pd.testing.assert_series_equal(
        last.sort_index(), trials["knn.validation_top1"].sort_index(), check_names=False
    )


def test_the_report_shows_the_progress_and_no_control_has_any(finished: Path) -> None:
    folder = finished / "runs" / "study"
    page = (folder / "index.html").read_text()
    assert "Progress inside the trainings" in page
    assert "Progress:" in page
    assert {"progress.png", "progress_effects.csv"} <= {path.name for path in folder.iterdir()}
    assert len(list((finished / "runs" / "cache" / "pretrain").glob("*/snapshots"))) == 4  # not 6


def test_a_report_of_a_folder_that_was_moved_has_all_that_it_had(finished: Path) -> None:
    out, moved = finished / "runs", finished / "moved"
    names = ("progress.csv", "effects.csv")
    before = {name: (out / "study" / name).read_text() for name in names}
    pictures = (out / "study" / "index.html").read_text().count("data:image")
    out.rename(moved)
    options = Options(finished / "study.yaml", device="cpu", out=moved, settings=(EPOCHS, PROBES))
    try:
        assert report_again(options, quiet()) == 0
        assert {name: (moved / "study" / name).read_text() for name in names} == before
        assert (moved / "study" / "index.html").read_text().count("data:image") == pictures
    finally:
        moved.rename(out)


def test_a_report_says_which_cells_have_no_known_progress(finished: Path) -> None:
    out = finished / "runs"
    trials = (out / "study" / "trials.csv").read_bytes()
    moved = [
        folder.rename(folder.with_name("away")) for folder in out.glob("cache/pretrain/*/progress/*-00001")
    ]
    console = quiet()
    options = Options(finished / "study.yaml", device="cpu", out=out, settings=(EPOCHS, PROBES))
    try:
        assert report_again(options, console) == 0
    finally:
        for folder in moved:
            folder.rename(folder.with_name("epoch-00001"))
    assert "no progress is known of 'depth 1', seed 0 (epoch 1), 'linear', seed 0 (epoch 1)" in said(console)
    assert "another --out" in said(console)
    assert (out / "study" / "trials.csv").read_bytes() == trials


def test_nothing_but_accuracies_on_validation_images_is_known_on_the_way() -> None:
    metrics = {"a.top1": 1.0, "a.validation_top1": 2.0, "a.top1@l2=0.1": 3.0, "a.validation_top1@l2=0.1": 4.0}
    assert on_validation(metrics) == {"a.validation_top1": 2.0, "a.validation_top1@l2=0.1": 4.0}
