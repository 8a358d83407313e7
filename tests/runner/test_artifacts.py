"""What a finished run adds to its report: whatever of its files is there, and a word on what is not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.files import file_sha256, read_record, sealed
from cmae_ablate.report.cell_record import CellRecord, TrialRow
from cmae_ablate.report.frame import ReportExtras
from cmae_ablate.runner.artifacts import artifacts, image_clusters
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import evaluation_path
from cmae_ablate.runner.imported import lacks_predictions
from cmae_ablate.runner.recheck import damaged_cells
from cmae_ablate.runner.reporting import open_queue, read_queue
from cmae_ablate.runner.result_files import EvaluationRecord, PretrainingRecord
from cmae_ablate.runner.results import StudyTrials
from tests.runner.test_untaken import begun, finish

CROPS = """\
question: Does the crop matter?
scale: tiny
design: one_factor
factors:
  crop:
    path: crop
    levels:
      plain: {name: random_resized}
      box: {name: contrastive, warmup_epochs: 1, interval: 1}
reference: {crop: plain}
seeds: 2
metric: knn.top1
positive_control: none
"""
EVERY = {(variant, seed) for variant in ("plain", "box") for seed in (0, 1)}


def test_test_images_are_clustered_by_their_source_where_it_is_known_and_else_by_class(
    tiny_data: DataArrays,
) -> None:
    test = tiny_data.test
    sources = np.arange(len(test), dtype=np.int32) % 4
    assert image_clusters(replace(test, groups=sources)).tolist() == sources.tolist()
    assert image_clusters(replace(test, groups=None)).tolist() == test.labels.tolist()


def learnt(record: PretrainingRecord) -> PretrainingRecord:
    """As after two epochs, in which a crop that learns has learnt something."""
    learns = record.spec["crop"]["name"] == "contrastive"
    files = {"crop.safetensors": "0" * 64} if learns else {}
    return replace(record, history=[{"loss": 2.0}, {"loss": 1.0}], files=files)


def predict(experiment: Experiment) -> None:
    """Let every finished cell have been evaluated: it takes the first class for all."""
    for cell in experiment.cells:
        spec = cell.spec
        folder = experiment.places.cache / "pretrain" / experiment.pretraining(spec)
        path = evaluation_path(spec.evaluations["knn"], folder)
        predictions = path.with_suffix(".npy")
        np.save(predictions, np.zeros(32, dtype=np.int16))
        record = EvaluationRecord(
            "knn", {"top1": 1.0}, "3-NN.", {}, "w", predictions.name, file_sha256(predictions)
        )
        path.write_bytes(sealed(record.to_json()))


@pytest.fixture
def finished(tiny_study: Path, tmp_path: Path) -> Experiment:
    """Cells whose records and predictions are here, and whose weights and crops nobody copied."""
    tiny_study.write_text(CROPS)
    experiment = begun(tiny_study, out=tmp_path / "runs")
    finish(experiment, change=learnt)
    predict(experiment)
    return experiment


def found(experiment: Experiment) -> ReportExtras:
    return artifacts(experiment, StudyTrials.of(read_queue(experiment)), {}, "")


def imported(study: Path, out: Path, weights: str = "w") -> Experiment:
    """The cells of the study as another machine's CSV tells of them."""
    experiment = begun(study, out=out)
    rows = [
        TrialRow(c.variant, c.seed, "COMPLETE", {}, c.fingerprint, CellRecord({"knn.top1": 1.0}, weights))
        for c in experiment.planned
    ]
    queue = open_queue(experiment)
    assert queue.import_complete(rows, "knn.top1", "a.csv") == 4
    queue.close()
    return experiment


def cells_of(curves: object) -> set[tuple[str, int]]:
    return set(zip(curves["variant"], curves["seed"], strict=True))  # type: ignore[index]


def test_a_crop_that_was_not_copied_costs_its_picture_alone_and_one_note(finished: Experiment) -> None:
    extras = found(finished)
    faults, pictures = extras.notes
    assert faults.startswith("2 cells (\u2018box\u2019): ")
    assert faults.endswith(
        "/crop.safetensors and 1 more: missing; copy them there, or run the study again, and they are made "
        "again"
    )
    assert pictures == "crop boxes of \u2018box\u2019 not shown: what their crops learnt cannot be read"
    assert extras.warnings == {}
    assert cells_of(extras.curves) == set(extras.correct) == EVERY
    assert list(extras.crop_boxes) == ["plain"]


def test_a_picture_drawn_before_its_source_was_lost_is_shown(finished: Experiment) -> None:
    folders = {c.variant.label: finished.pretraining(c.spec) for c in finished.cells}
    earlier = finished.places.cache / "pretrain" / folders["box"] / "crops.png"
    earlier.write_bytes(b"a picture")
    extras = found(finished)
    assert extras.crop_boxes["box"] == earlier
    assert len(extras.notes) == 1


def test_damaged_predictions_cost_no_curves(finished: Experiment) -> None:
    first, *_ = sorted(finished.places.cache.glob("pretrain/*/knn-*.npy"))
    first.write_bytes(b"")
    extras = found(finished)
    assert len(extras.correct) == 3
    assert cells_of(extras.curves) == EVERY
    assert any(f"{first}: damaged (not the predictions that were recorded)" in note for note in extras.notes)


def test_cells_that_are_no_longer_in_the_cache_are_said(finished: Experiment) -> None:
    shutil.rmtree(finished.places.cache / "pretrain")
    extras = found(finished)
    assert extras.curves is None
    assert not extras.correct
    [note] = extras.notes
    assert note.startswith("4 cells (\u2018plain\u2019 and \u2018box\u2019): ")
    assert " and 3 more: not in the cache, so without curves, pictures and predictions; " in note


def test_imported_cells_have_the_predictions_and_curves_that_were_copied_without_weights(
    finished: Experiment, tmp_path: Path
) -> None:
    here = imported(tmp_path / "tiny_study.yaml", tmp_path / "here")
    bare = found(here)
    assert not bare.correct
    assert [note for note in bare.notes if "imported" in note] == [
        "\u2018plain\u2019 and \u2018box\u2019 seeds 0-1 imported: trained elsewhere, so seconds and "
        "memory may not compare, and without curves, pictures and predictions"
    ]
    assert lacks_predictions(here, read_queue(here))
    shutil.copytree(finished.places.cache, here.places.cache)
    extras = found(here)
    assert cells_of(extras.curves) == set(extras.correct) == EVERY
    assert extras.clusters is not None
    assert list(extras.crop_boxes) == ["plain"]
    notes = [note for note in extras.notes if "box\u2019" in note]
    assert notes[0].endswith("and with the curves, pictures and predictions that were copied into this cache")
    assert notes[1].endswith("/crop.safetensors and 1 more: missing; copy them there")
    assert not lacks_predictions(here, read_queue(here))
    assert not damaged_cells(here, read_queue(here))  # a run does not train them again
    assert StudyTrials.of(read_queue(here)).frame["imported"].tolist() == ["1"] * len(EVERY)


def test_a_copy_of_other_weights_than_the_rows_is_not_used(finished: Experiment, tmp_path: Path) -> None:
    here = imported(tmp_path / "tiny_study.yaml", tmp_path / "here", weights="another")
    shutil.copytree(finished.places.cache, here.places.cache)
    extras = found(here)
    assert extras.curves is None
    assert not extras.correct


def test_predictions_of_other_weights_than_the_cells_are_not_used(finished: Experiment) -> None:
    path, *_ = sorted(finished.places.cache.glob("pretrain/*/knn-*.json"))
    record = EvaluationRecord.from_json(read_record(path))
    path.write_bytes(sealed(replace(record, weights_sha256="another").to_json()))
    assert len(found(finished).correct) == 3
