"""What a finished run can show beside its numbers: curves, pictures, test predictions, links to its runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cmae_ablate.data.arrays import Split
from cmae_ablate.files import DamagedError
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.frame import Cell, ReportExtras
from cmae_ablate.report.selection import Chosen
from cmae_ablate.report.wording import in_quotes, listing
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.file_faults import FileFaults
from cmae_ablate.runner.finished import (
    check_files,
    check_predictions,
    check_record,
    evaluation_path,
    folder_of,
    read_evaluation,
)
from cmae_ablate.runner.imported import copied_folder, imported_notes, is_imported
from cmae_ablate.runner.progress_rows import progress_rows
from cmae_ablate.runner.result_files import PretrainingRecord
from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.runner.run_links import run_links

CURVES = ("variant", "seed", "epoch", "name", "value")
RECONSTRUCTIONS, CROPS = "reconstructions.png", "crops.png"


def artifacts(
    experiment: Experiment, trials: StudyTrials, environment: Mapping[str, str], command: str
) -> ReportExtras:
    """Gather what the cache, the tracker and this machine add to the CSVs.

    Args:
        experiment: The study.
        trials: Its cells.
        environment: Versions and hardware.
        command: The command line that repeats the study.
    """
    found = _OfCells(experiment, trials.chosen)
    copied = set()
    for status in trials.statuses:
        folder = folder_of(status.record, experiment.places.cache)
        if folder is not None:
            found.add(status, folder)
        # Of a cell imported from another machine the numbers are here, and of its files what was copied.
        elif (elsewhere := copied_folder(experiment, status)) is not None:
            copied.add((status.cell.variant, status.cell.seed))
            found.add(status, elsewhere)
    # Seeds with images of their own are not crossed with images: their interval covers both already.
    correct, clusters = ({}, None) if experiment.study.redraws else (found.correct, found.clusters)
    links = run_links(experiment, trials.statuses)
    progress, notes = progress_rows(experiment, trials)
    return ReportExtras(
        progress=progress,
        notes=(*imported_notes(trials.statuses, copied), *found.notes(), *notes),
        curves=pd.DataFrame(found.curves, columns=list(CURVES)) if found.curves else None,
        reconstructions=found.reconstructions,
        crop_boxes=found.crops,
        correct=correct,
        clusters=clusters,
        warnings=found.warnings,
        links=links,
        links_name=experiment.places.backend.name,
        links_open=experiment.places.backend.ui_command() if links else "",
        environment=environment,
        command=command,
        git=environment.get("git", ""),
    )


class _OfCells:
    """What the files of finished cells hold for a report, each by itself: one that is lost costs no other."""

    def __init__(self, experiment: Experiment, chosen: Mapping[str, Chosen]) -> None:
        self._experiment, self._chosen = experiment, chosen
        self._compares_crops = len({json.dumps(v.spec["crop"].to_tree()) for v in experiment.variants}) > 1
        self._faults = FileFaults()
        self._without_crops: dict[str, None] = {}
        self.curves: list[dict[str, Any]] = []
        self.reconstructions: dict[str, Path] = {}
        self.crops: dict[str, Path] = {}
        self.correct: dict[Cell, NDArray[np.bool_]] = {}
        self.clusters: NDArray[np.int64] | None = None
        self.warnings: dict[Cell, str] = {}

    def add(self, status: CellStatus, folder: Path) -> None:
        """Take what the folder of a cell holds."""
        cell = (status.cell.variant, status.cell.seed)
        try:
            record = check_record(folder)
        except FileNotFoundError:
            self._faults.add_gone(cell, folder)
            return
        except DamagedError as error:
            self._add_fault(status, error)
            return
        self.curves += _curves(record.history, *cell)
        if record.warning:
            self.warnings[cell] = record.warning
        self._add_pictures(status, folder, record)
        try:
            hits = _correct(self._experiment, status, folder, self._chosen)
        except DamagedError as error:
            self._add_fault(status, error)
            return
        if hits is not None:
            data = self._experiment.data_of(self._experiment.cell(status.cell).spec)
            self.correct[cell], self.clusters = hits, image_clusters(data.test)

    def _add_pictures(self, status: CellStatus, folder: Path, record: PretrainingRecord) -> None:
        variant, is_whole = status.cell.variant, True
        try:
            check_files(folder, record)
        except DamagedError as error:
            self._add_fault(status, error)
            is_whole = False
        if (folder / RECONSTRUCTIONS).is_file():
            self.reconstructions.setdefault(variant, folder / RECONSTRUCTIONS)
        if self._compares_crops and variant not in self.crops:
            drawn = _crops(self._experiment, status, folder, may_draw=is_whole)
            if drawn is not None:
                self.crops[variant] = drawn
            elif not is_whole:
                self._without_crops[variant] = None

    def _add_fault(self, status: CellStatus, error: DamagedError) -> None:
        self._faults.add((status.cell.variant, status.cell.seed), error, is_copied=is_imported(status))

    def notes(self) -> Iterator[str]:
        """What could not be read, and what is not shown for it."""
        yield from self._faults.notes()
        without = [in_quotes(variant) for variant in self._without_crops if variant not in self.crops]
        if without:
            yield f"crop boxes of {listing(without)} not shown: what their crops learnt cannot be read"


def _crops(experiment: Experiment, status: CellStatus, folder: Path, *, may_draw: bool) -> Path | None:
    """A picture of the cell's crops, drawn once; None where what its crop learnt was not kept."""
    path = folder / CROPS
    if not path.is_file() and may_draw and os.access(folder, os.W_OK):
        from cmae_ablate.training.pictures import save_crops

        spec = experiment.cell(status.cell).spec
        save_crops(spec, experiment.data_of(spec), folder / "crop.safetensors", path)
    return path if path.is_file() else None


def _curves(history: Sequence[Mapping[str, float]], variant: str, seed: int) -> list[dict[str, Any]]:
    return [
        {"variant": variant, "seed": seed, "epoch": epoch, "name": name, "value": value}
        for epoch, metrics in enumerate(history, start=1)
        for name, value in metrics.items()
    ]


def _correct(
    experiment: Experiment, status: CellStatus, folder: Path, chosen: Mapping[str, Chosen]
) -> NDArray[np.bool_] | None:
    """Which test images the deciding metric counts as right, found through the cell's own record.

    Raises:
        DamagedError: The record or its predictions are not what was written.
    """
    spec = experiment.cell(status.cell).spec
    label = experiment.study.metric.split(".")[0]
    if label not in spec.evaluations:
        return None
    path = evaluation_path(spec.evaluations[label], folder)
    if not path.is_file():
        return None
    record = read_evaluation(path)
    if record.weights_sha256 not in (None, status.record.weights_sha256):
        return None  # of a training since, or of another machine's
    # The predictions behind the table's number: those at the setting that the study chose.
    read_at = record.at(chosen[label].key) if label in chosen and record.candidates else record
    predicted = None if read_at is None else check_predictions(folder, read_at)
    if predicted is None:
        return None
    labels = experiment.data_of(spec).test.labels
    if len(predicted) != len(labels):
        raise DamagedError(path, "it has predictions of other images")
    return np.asarray(predicted == labels)


def image_clusters(test: Split) -> NDArray[np.int64]:
    """What each test image belongs to: its source where the data set knows it, else its class."""
    return np.asarray(test.labels if test.groups is None else test.groups, dtype=np.int64)
