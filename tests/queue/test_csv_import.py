"""Results of several machines: which rows count, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.queue import Queue, check_rows
from cmae_ablate.queue.csv_import import cells_of
from cmae_ablate.report.cell_record import CellRecord, TrialRow
from tests.queue.harness import plan

METRIC = "knn.top1"


def row(depth: int, seed: int, *, state: str = "COMPLETE", weights: str = "ab", **metrics: float) -> TrialRow:
    """A row as a machine writes it, complete unless said otherwise."""
    record = CellRecord({METRIC: 10.5 + seed, "seconds.pretrain": 3.0, **metrics}, weights)
    label = f"depth {depth}"
    return TrialRow(label, seed, state, {"decoder": label}, f"fp-{depth}-{seed}", record)


@pytest.fixture
def queue(open_queue: Callable[..., Queue]) -> Queue:
    return open_queue(plan(variants=2, seeds=2))


def test_machines_that_shared_the_cells_are_merged(queue: Queue) -> None:
    files = {"a.csv": [row(0, 0), row(1, 0)], "b.csv": [row(0, 1), row(1, 1)]}
    assert check_rows(files, queue.status(), METRIC) == []
    assert [queue.import_complete(rows, METRIC, file) for file, rows in files.items()] == [2, 2]
    assert queue.pending() == 0
    assert [(status.cell.seed, status.origin) for status in queue.status()] == [
        (seed, "a.csv" if seed == 0 else "b.csv") for seed in (0, 0, 1, 1)
    ]


def test_what_a_file_imported_itself_is_of_another_machine_than_its_own_rows(queue: Queue) -> None:
    rows = [row(0, 0), replace(row(0, 1), imported="1"), replace(row(1, 0), imported="2")]
    assert queue.import_complete(rows, METRIC, "a.csv") == 3
    origins = [status.origin for status in queue.status() if status.state == "COMPLETE"]
    assert sorted(origins) == ["a.csv", "a.csv#1", "a.csv#2"]


def test_the_same_result_from_two_machines_is_no_contradiction(queue: Queue) -> None:
    again = row(0, 0, **{"seconds.pretrain": 9.0, METRIC: 10.5 + 1e-12, "memory.pretrain": 5.0})
    assert check_rows({"a.csv": [row(0, 0)], "b.csv": [again]}, queue.status(), METRIC) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [({METRIC: 11.0}, "knn.top1 is 11.0 here, but 10.5"), ({"weights": "cd"}, "is cd here, but ab")],
)
def test_two_results_of_one_cell_are_refused_with_both_places(
    queue: Queue, changes: dict[str, Any], said: str
) -> None:
    files = {"a.csv": [row(1, 0), row(0, 0)], "b.csv": [row(0, 0, **changes)]}
    with pytest.raises(UserError, match=rf"b\.csv:2: depth 0, seed 0: .*{said} in a\.csv:3") as caught:
        check_rows(files, queue.status(), METRIC)
    assert "delete the row that you do not trust" in str(caught.value)


def test_a_row_against_a_recorded_result_is_named_and_changes_nothing(queue: Queue) -> None:
    queue.import_complete([row(0, 0)], METRIC)
    other = [row(0, 0, **{METRIC: 99.0})]
    (note,) = check_rows({"b.csv": other}, queue.status(), METRIC)
    assert note == (
        "b.csv:2: depth 0, seed 0: knn.top1 is 99.0 here, but 10.5 as recorded; the recorded result stays"
    )
    assert queue.import_complete(other, METRIC) == 0
    assert queue.status()[0].value == 10.5


def test_rows_that_do_not_count_are_named_with_the_reason(queue: Queue) -> None:
    rows = [
        row(0, 0),
        replace(row(0, 1), fingerprint="fp-of-other-settings"),
        row(1, 7),
        row(1, 0, state="FAILED"),
        replace(row(1, 1), record=CellRecord({"knn.top5": 10.5})),
    ]
    notes = check_rows({"a.csv": rows}, queue.status(), METRIC)
    assert [note.partition(";")[0] for note in notes] == [
        "a.csv: 2 of 5 rows: of no cell of this study: other settings, data or component versions",
        "a.csv: 1 of 5 rows: not complete",
        "a.csv: 1 of 5 rows: without a value of knn.top1",
    ]


def test_a_file_of_a_single_row_has_one_row(queue: Queue) -> None:
    (note,) = check_rows({"a.csv": [row(1, 0, state="FAILED")]}, queue.status(), METRIC)
    assert note == "a.csv: 1 of 1 row: not complete"


def test_variants_that_are_one_trial_each_have_their_own_rows(open_queue: Callable[..., Queue]) -> None:
    cells = [replace(cell, fingerprint=f"fp-0-{cell.seed}") for cell in plan(variants=2, seeds=2)]
    rows = [replace(row(0, seed), variant=f"depth {depth}") for seed in range(2) for depth in (1, 0)]
    queue = open_queue(cells)
    assert check_rows({"a.csv": rows}, queue.status(), METRIC) == []
    assert queue.import_complete(rows, METRIC) == 4
    assert queue.pending() == 0


def test_a_row_completes_the_variant_that_it_names(open_queue: Callable[..., Queue]) -> None:
    cells = [replace(cell, fingerprint=f"fp-0-{cell.seed}") for cell in plan(variants=2, seeds=1)]
    queue = open_queue(cells)
    assert queue.import_complete([row(0, 0)], METRIC) == 1
    assert {s.cell.variant: s.state for s in queue.status()} == {"depth 0": "COMPLETE", "depth 1": "WAITING"}
    # Of another study's names: of the first that is open by no row of its own.
    assert [cell and cell.variant for cell in cells_of([replace(row(0, 0), variant="x")] * 3, cells)] == [
        "depth 0",
        "depth 1",
        "depth 0",
    ]
