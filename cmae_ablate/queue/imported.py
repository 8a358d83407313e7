"""Rows of a `trials.csv` as results of cells."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cmae_ablate.queue.cells import JSON, PlannedCell

_NO_RESULTS = ("variant", "seed", "state", "fingerprint")


def results_of(row: Mapping[str, JSON], cell: PlannedCell) -> dict[str, JSON]:
    """The row's results: every column but those that say which cell it is; empty ones are left out."""
    results: dict[str, JSON] = {}
    for column, item in row.items():
        if column not in _NO_RESULTS and column not in cell.levels:
            is_number = isinstance(item, str) and not column.endswith("sha256")
            value = _number(str(item)) if is_number else item
            if value is not None and value != "" and not (isinstance(value, float) and math.isnan(value)):
                results[column] = value
    return results


def key_of(row: Mapping[str, JSON]) -> tuple[str, str]:
    """What ties a complete row to a cell: its fingerprint and seed, as text."""
    seed = row.get("seed")
    # A column of integers with a gap comes out of pandas as floats.
    seed = int(seed) if isinstance(seed, float) and seed.is_integer() else seed
    return str(row.get("fingerprint")), str(seed)


def _number(text: str) -> JSON:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
