"""Rows of `trials.csv` files as results of cells: which count, which do not and why, which contradict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cmae_ablate.errors import UserError
from cmae_ablate.queue.cells import JSON, CellStatus, PlannedCell
from cmae_ablate.report.selection import own_best

_NO_RESULTS = ("variant", "seed", "state", "fingerprint")
# What differs between machines without any difference of the result.
_OF_THE_MACHINE = ("seconds.", "memory.")
_OTHER_SETTINGS = (
    "of no cell of this study: other settings, data or component versions; import with the --scale, --set "
    "and --seeds of the run that wrote them"
)


def importable(
    rows: Iterable[Mapping[str, JSON]], cells: Iterable[PlannedCell], metric: str
) -> Iterator[tuple[PlannedCell, float, dict[str, JSON]]]:
    """The complete rows that stand for one of `cells`: the cell, its value of `metric`, its results."""
    by_key = {_key(cell.fingerprint, cell.seed): cell for cell in cells}
    for row in rows:
        cell = by_key.get(_key(row.get("fingerprint"), row.get("seed")))
        if cell is not None and row.get("state") == "COMPLETE":
            metrics, texts = _results_of(row, cell)
            if metric in metrics:
                yield cell, metrics[metric], {"metrics": metrics, **texts}


def check_rows(
    files: Mapping[str, Sequence[Mapping[str, JSON]]], statuses: Sequence[CellStatus], metric: str
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
    cells = {_key(status.cell.fingerprint, status.cell.seed): status.cell for status in statuses}
    recorded = {s.cell.id: s.results for s in statuses if s.state == "COMPLETE"}
    notes: list[str] = []
    first: dict[str, tuple[str, Mapping[str, JSON]]] = {}
    for file, rows in files.items():
        reasons: Counter[str] = Counter()
        for line, row in enumerate(rows, start=2):
            cell = cells.get(_key(row.get("fingerprint"), row.get("seed")))
            if cell is None:
                reasons[_OTHER_SETTINGS] += 1
                continue
            if row.get("state") != "COMPLETE":
                reasons["not complete"] += 1
                continue
            results = next((found for _, _, found in importable([row], [cell], metric)), None)
            if results is None:
                reasons[f"without a value of {metric}"] += 1
                continue
            place, title = f"{file}:{line}", f"{cell.variant}, seed {cell.seed}"
            earlier_place, earlier = first.setdefault(cell.id, (place, results))
            if contradiction := _contradiction(earlier, results):
                raise UserError(
                    f"{place}: {title}: {contradiction} in {earlier_place}; one cell has one result: "
                    "delete the row that you do not trust"
                )
            if cell.id in recorded and (contradiction := _contradiction(recorded[cell.id], results)):
                notes.append(f"{place}: {title}: {contradiction} as recorded; the recorded result stays")
        notes += [f"{file}: {count} of {len(rows)} rows: {reason}" for reason, count in reasons.items()]
    return notes


def _contradiction(known: Mapping[str, JSON], new: Mapping[str, JSON]) -> str:
    """The first result that both have and that differs, as `knn.top1 is 2 here, but 1`; empty if none."""
    old_metrics, new_metrics = known.get("metrics"), new.get("metrics")
    assert isinstance(old_metrics, Mapping)
    assert isinstance(new_metrics, Mapping)
    pairs = {name: (old_metrics[name], value) for name, value in new_metrics.items() if name in old_metrics}
    pairs |= {"weights_sha256": (known.get("weights_sha256"), new.get("weights_sha256"))}
    for name, (old, value) in pairs.items():
        if name.startswith(_OF_THE_MACHINE) or not old or not value:
            continue
        if isinstance(old, float | int) and isinstance(value, float | int):
            # A CSV has every digit; rounding by a spreadsheet is no other result.
            same = math.isclose(old, value, rel_tol=1e-9)
        else:
            same = old == value
        if not same:
            return f"{name} is {value} here, but {old}"
    return ""


def _results_of(row: Mapping[str, JSON], cell: PlannedCell) -> tuple[dict[str, float], dict[str, str]]:
    """Numbers and texts by column, without empty ones and those that say which cell it is."""
    metrics: dict[str, float] = {}
    texts: dict[str, str] = {}
    for column, item in row.items():
        is_empty = item is None or item == "" or (isinstance(item, float) and math.isnan(item))
        if is_empty or column in _NO_RESULTS or column in cell.levels:
            continue
        # A hash may happen to consist of digits.
        number = None if column.endswith("sha256") else _number(item)
        if number is None:
            texts[column] = str(item)
        elif not math.isnan(number):
            metrics[column] = number
    # As a cell that was trained here is recorded: what a file's study chose is chosen anew among all cells.
    return own_best(metrics), texts


def _key(fingerprint: JSON, seed: JSON) -> tuple[str, str]:
    """What ties a row to a cell: its fingerprint and seed, as text."""
    # A column of integers with a gap comes out of pandas as floats.
    seed = int(seed) if isinstance(seed, float) and seed.is_integer() else seed
    return str(fingerprint), str(seed)


def _number(item: JSON) -> float | None:
    if isinstance(item, int | float):
        return item
    for kind in (int, float):
        try:
            return kind(str(item))
        except ValueError:
            continue
    return None
