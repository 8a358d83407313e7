"""Cells whose numbers came from the `trials.csv` of another machine: what is told of them, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from cmae_ablate.files import DamagedError
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.frame import Cell
from cmae_ablate.report.wording import counted, in_quotes, listing, seeds_words
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import check_record
from cmae_ablate.study.loading import Study

NO_PREDICTIONS = (
    "a CSV holds no per-image predictions: comparisons with imported cells have no interval over seeds and "
    "images together. To have it, copy the other machine's OUT/cache into this OUT, without its "
    "*.safetensors if they are too large, and report again"
)
COPIED = "with the curves, pictures and predictions that were copied into this cache"
NOT_COPIED = "without curves, pictures and predictions"


def import_line(file: str, rows: int, matching: int, taken: int) -> str:
    """What came of a file, for the screen.

    Args:
        file: Its name.
        rows: How many rows it has.
        matching: How many of them are complete and of a cell of this study.
        taken: How many completed a cell.
    """
    known = matching - taken
    already = f"; {known} of a cell that is complete already" if known else ""
    return f"imported {taken} of {counted(rows, 'row')} of {file}{already}"


def lost_by_import(study: Study) -> tuple[str, ...]:
    """What imported cells cost: nothing where the study has no interval over images to lose."""
    return () if study.redraws or study.rule is not None else (NO_PREDICTIONS,)


def copied_folder(experiment: Experiment, status: CellStatus) -> Path | None:
    """What a copy of the other machine's cache holds of an imported cell: record, predictions, pictures.

    Args:
        experiment: The study.
        status: Of a complete cell.

    Returns:
        None where the cell was trained here, where nothing of it was copied, and where the copy is of other
        weights than the row's.
    """
    weights = status.record.weights_sha256
    if not is_imported(status) or not weights:
        return None
    folder = experiment.places.cache / "pretrain" / experiment.pretraining(experiment.cell(status.cell).spec)
    with suppress(FileNotFoundError, DamagedError):
        if check_record(folder).weights_sha256 == weights:
            return folder
    return None


def lacks_predictions(experiment: Experiment, statuses: Sequence[CellStatus]) -> bool:
    """Whether nothing but a row is here of some imported cell."""
    return any(is_imported(each) and copied_folder(experiment, each) is None for each in statuses)


def is_imported(status: CellStatus) -> bool:
    """Whether a complete cell was trained elsewhere: its numbers are here, and no folder of its own."""
    return status.state == "COMPLETE" and status.record.folder is None


def imported_cells(statuses: Sequence[CellStatus]) -> dict[Cell, str]:
    """The complete cells that were not trained here, and the number of each one's file, in their order."""
    cells = {(each.cell.variant, each.cell.seed): each.origin for each in statuses if is_imported(each)}
    numbers = {origin: str(place) for place, origin in enumerate(dict.fromkeys(cells.values()), start=1)}
    return {cell: numbers[origin] for cell, origin in cells.items()}


def imported_notes(statuses: Sequence[CellStatus], copied: Collection[Cell] = ()) -> tuple[str, ...]:
    """For a report: which complete cells were not trained here, a sentence for all variants that are alike.

    Args:
        statuses: Of the study.
        copied: The imported cells of which more than a row is here: see `copied_folder`.
    """
    seeds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for variant, seed in imported_cells(statuses):
        seeds[variant, COPIED if (variant, seed) in copied else NOT_COPIED].append(seed)
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (variant, rest), own in seeds.items():
        alike[seeds_words(own), rest].append(in_quotes(variant))
    notes = [
        f"{listing(variants, len(variants))} {own} imported: trained elsewhere, so seconds and memory may "
        f"not compare, and {rest}"
        for (own, rest), variants in alike.items()
    ]
    if seeds and not any(status.record.protocols for status in statuses):
        notes.append(
            "how metrics were measured is not told: no cell was evaluated here, and a CSV does not say"
        )
    return tuple(notes)
