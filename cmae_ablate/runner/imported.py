"""Cells whose numbers came from the `trials.csv` of another machine: what is told of them, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cmae_ablate.queue import CellStatus
from cmae_ablate.report.frame import Cell
from cmae_ablate.report.wording import counted, seeds_of
from cmae_ablate.study.loading import Study

NO_PREDICTIONS = (
    "a CSV holds no per-image predictions: comparisons with imported cells have no interval over seeds and "
    "images together. To have it, copy the other machine's OUT/cache into this OUT instead, and run again: "
    "what lies there is not trained anew"
)


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


def imported_cells(statuses: Sequence[CellStatus]) -> tuple[Cell, ...]:
    """The complete cells that were not trained here, in the order of the study."""
    return tuple(
        (status.cell.variant, status.cell.seed)
        for status in statuses
        if status.state == "COMPLETE" and status.record.folder is None
    )


def imported_notes(statuses: Sequence[CellStatus]) -> tuple[str, ...]:
    """For a report: which complete cells were not trained here, a sentence a variant."""
    seeds: dict[str, list[int]] = defaultdict(list)
    for variant, seed in imported_cells(statuses):
        seeds[variant].append(seed)
    notes = [
        f"{seeds_of(variant, own)} imported: trained elsewhere, so seconds and memory may not compare, and "
        "without curves, pictures and predictions"
        for variant, own in seeds.items()
    ]
    if seeds and not any(status.record.protocols for status in statuses):
        notes.append(
            "how metrics were measured is not told: no cell was evaluated here, and a CSV does not say"
        )
    return tuple(notes)
