"""Rows of `trials.csv` files as results of cells: which count, which do not and why, which contradict."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from cmae_ablate.errors import UserError
from cmae_ablate.queue.cells import CellStatus, PlannedCell
from cmae_ablate.report.cell_record import CellRecord, TrialRow
from cmae_ablate.report.selection import own_best
from cmae_ablate.report.wording import counted

# What differs between machines without any difference of the result.
_OF_THE_MACHINE = ("seconds.", "memory.")
_OTHER_SETTINGS = (
    "of no cell of this study: other settings, data or component versions; import with the --scale, --set "
    "and --seeds of the run that wrote them"
)


def cells_of(rows: Sequence[TrialRow], cells: Iterable[PlannedCell]) -> list[PlannedCell | None]:
    """The cell that each row is of, by fingerprint and seed; None where there is none.

    Two variants of a study may be one and the same trial: a row then is of the variant that it names; without
    such a one, of the first that no other row is of.
    """
    alike: dict[tuple[str, int], list[PlannedCell]] = defaultdict(list)
    for cell in cells:
        alike[cell.fingerprint, cell.seed].append(cell)
    candidates = [alike.get((row.fingerprint, row.seed), []) for row in rows]
    own = [
        next((cell for cell in found if cell.variant == row.variant), None)
        for row, found in zip(rows, candidates, strict=True)
    ]
    taken = {cell.id for cell in own if cell is not None}
    chosen: list[PlannedCell | None] = []
    for named, found in zip(own, candidates, strict=True):
        free = (other for other in found if other.id not in taken)
        chosen.append(named or next(free, found[0] if found else None))
        if (last := chosen[-1]) is not None:
            taken.add(last.id)
    return chosen


def importable(
    rows: Iterable[TrialRow], cells: Iterable[PlannedCell], metric: str
) -> Iterator[tuple[PlannedCell, float, TrialRow]]:
    """The complete rows that stand for one of `cells`: the cell, its value of `metric`, the row."""
    rows = list(rows)
    for row, cell in zip(rows, cells_of(rows, cells), strict=True):
        if cell is not None and row.state == "COMPLETE":
            # As a cell that was trained here is recorded: what a file's study chose is chosen anew among all.
            metrics = own_best(row.record.metrics)
            if metric in metrics:
                yield cell, metrics[metric], replace(row, record=replace(row.record, metrics=metrics))


def check_rows(
    files: Mapping[str, Sequence[TrialRow]], statuses: Sequence[CellStatus], metric: str
) -> list[str]:
    """Compare the rows of several machines with each other and with what is recorded here.

    Args:
        files: Rows by the name of their file.
        statuses: The study's cells; the recorded result of a complete one stays whatever a row says.
        metric: The study's metric.

    Returns:
        What the user should know: rows that do not count, and why; recorded results that rows contradict.

    Raises:
        UserError: Two rows give one cell different results, and nothing says which is right.
    """
    cells = [status.cell for status in statuses]
    recorded = {s.cell.id: s.record for s in statuses if s.state == "COMPLETE"}
    notes: list[str] = []
    first: dict[str, tuple[str, CellRecord]] = {}
    for file, rows in files.items():
        reasons: Counter[str] = Counter()
        for line, (row, cell) in enumerate(zip(rows, cells_of(rows, cells), strict=True), start=2):
            if cell is None:
                reasons[_OTHER_SETTINGS] += 1
                continue
            if row.state != "COMPLETE":
                reasons["not complete"] += 1
                continue
            counting = next((found for _, _, found in importable([row], [cell], metric)), None)
            if counting is None:
                reasons[f"without a value of {metric}"] += 1
                continue
            record = counting.record
            place, title = f"{file}:{line}", f"{cell.variant}, seed {cell.seed}"
            earlier_place, earlier = first.setdefault(cell.id, (place, record))
            if contradiction := _contradiction(earlier, record):
                raise UserError(
                    f"{place}: {title}: {contradiction} in {earlier_place}; one cell has one result: "
                    "delete the row that you do not trust"
                )
            if cell.id in recorded and (contradiction := _contradiction(recorded[cell.id], record)):
                notes.append(f"{place}: {title}: {contradiction} as recorded; the recorded result stays")
        notes += [
            f"{file}: {count} of {counted(len(rows), 'row')}: {reason}" for reason, count in reasons.items()
        ]
    return notes


def _contradiction(known: CellRecord, new: CellRecord) -> str:
    """The first result that both have and that differs, as `knn.top1 is 2 here, but 1`; empty if none."""
    for name, value in new.metrics.items():
        old = known.metrics.get(name, value)
        # A CSV has every digit; rounding by a spreadsheet is no other result.
        if not name.startswith(_OF_THE_MACHINE) and not math.isclose(old, value, rel_tol=1e-9):
            return f"{name} is {value} here, but {old}"
    old_weights, weights = known.weights_sha256, new.weights_sha256
    if old_weights and weights and old_weights != weights:
        return f"weights_sha256 is {weights} here, but {old_weights}"
    return ""
