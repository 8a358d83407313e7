"""What is told of cells whose numbers came from another machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmae_ablate.queue import CellStatus, PlannedCell
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.imported import import_line, imported_notes, lost_by_import
from cmae_ablate.study.loading import load
from tests.tiny import TINY_STUDY


def status(variant: str, seed: int, folder: Path | None, state: str = "COMPLETE") -> CellStatus:
    cell = PlannedCell(f"{variant}-{seed}", variant, seed, {}, f"fp-{variant}-{seed}")
    return CellStatus(cell, state, record=CellRecord({"knn.top1": 1.0}, folder=folder))  # type: ignore[arg-type]


def test_the_report_names_the_cells_that_were_not_trained_here(tmp_path: Path) -> None:
    cells = [
        status("deep", 0, None),
        status("deep", 1, None),
        status("deep", 2, tmp_path),
        status("flat", 1, None),
        status("flat", 2, None, "WAITING"),
        status("wide", 0, None),
        status("wide", 1, None),
    ]
    deep, flat, measured = imported_notes(cells)
    assert deep.startswith(
        "\u2018deep\u2019 and \u2018wide\u2019 seeds 0-1 imported: "
        "trained elsewhere, so seconds and memory may not compare"
    )
    assert flat.startswith("\u2018flat\u2019 seed 1 imported: ")
    assert measured.startswith("how metrics were measured is not told")
    assert imported_notes([status("deep", 2, tmp_path)]) == ()


@pytest.mark.parametrize(
    ("keys", "has_any"),
    [("", True), ("redraw_data: true\n", False), ("precision: 1.0\nmax_seeds: 9\n", False)],
)
def test_a_study_without_an_interval_over_images_loses_none(
    keys: str, has_any: bool, tiny_study: Path
) -> None:
    tiny_study.write_text(TINY_STUDY.replace("seeds: 2", "seeds: 3") + keys)
    assert bool(lost_by_import(load(tiny_study))) is has_any


@pytest.mark.parametrize(
    ("rows", "matching", "taken", "line"),
    [
        (6, 4, 4, "imported 4 of 6 rows of a.csv"),
        (6, 6, 2, "imported 2 of 6 rows of a.csv; 4 of a cell that is complete already"),
        (1, 1, 1, "imported 1 of 1 row of a.csv"),
    ],
)
def test_rows_that_complete_nothing_are_told_with_the_reason(
    rows: int, matching: int, taken: int, line: str
) -> None:
    assert import_line("a.csv", rows, matching, taken) == line


def test_a_cell_evaluated_here_tells_how_metrics_were_measured(tmp_path: Path) -> None:
    here = status("deep", 0, tmp_path)
    told = replace(here, record=replace(here.record, protocols={"knn": "5-NN."}))
    (note,) = imported_notes([told, status("deep", 1, None)])
    assert note.startswith("\u2018deep\u2019 seed 1 imported")
