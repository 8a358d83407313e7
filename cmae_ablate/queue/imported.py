"""Rows of a `trials.csv` as results of cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from cmae_ablate.queue.cells import JSON, PlannedCell

_NO_RESULTS = ("variant", "seed", "state", "fingerprint")


def importable(
    rows: Iterable[Mapping[str, JSON]], cells: Iterable[PlannedCell], metric: str
) -> Iterator[tuple[PlannedCell, float, dict[str, JSON]]]:
    """The complete rows that stand for one of `cells`: the cell, its value of `metric`, its results."""
    by_key = {(cell.fingerprint, str(cell.seed)): cell for cell in cells}
    for row in rows:
        cell = by_key.get(_key_of(row))
        if cell is not None and row.get("state") == "COMPLETE":
            metrics, texts = _results_of(row, cell)
            if metric in metrics:
                yield cell, metrics[metric], {"metrics": metrics, **texts}


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
    return metrics, texts


def _key_of(row: Mapping[str, JSON]) -> tuple[str, str]:
    """What ties a complete row to a cell: its fingerprint and seed, as text."""
    seed = row.get("seed")
    # A column of integers with a gap comes out of pandas as floats.
    seed = int(seed) if isinstance(seed, float) and seed.is_integer() else seed
    return str(row.get("fingerprint")), str(seed)


def _number(item: JSON) -> float | None:
    if isinstance(item, int | float):
        return item
    for kind in (int, float):
        try:
            return kind(str(item))
        except ValueError:
            continue
    return None
