"""What a search tried and what came of it: `search.csv`, read beside the trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmae_ablate.report.csv_fields import csv_fields, finite_number, need_columns, number_field, whole_field

SEARCH_FILE = "search.csv"
TABLE_SEED = "table_seed"
"""The column that says which seed of the table a training tunes, where each has a tuning of its own."""
COMPLETE = "COMPLETE"


@dataclass(frozen=True)
class SearchedKey:
    """A key that a search tuned.

    Attributes:
        name: The key of a trial, dotted.
        low: The smallest value tried, of an interval.
        high: The largest.
        log: Whether values were drawn on a logarithmic scale.
        is_whole: Whether only whole numbers were tried.
        choices: What was tried where it was a list, as `search.csv` writes it; empty for an interval.
    """

    name: str
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    is_whole: bool = False
    choices: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which points lie, on the scale on which they were drawn; each whole number has its cell."""
        half = 0.5 if self.is_whole else 0.0
        low, high = self.low - half, self.high + half
        return (math.log(low), math.log(high)) if self.log else (low, high)

    @property
    def known(self) -> tuple[str, ...]:
        """The different choices, in one way of writing; empty for an interval."""
        return tuple(dict.fromkeys(map(_one_way, self.choices)))

    @property
    def is_tuned(self) -> bool:
        """Whether there was anything to choose from."""
        return not self.choices or len(self.known) > 1

    def place(self, field: str) -> float | None:
        """Where a value lies: the number of a choice, or on the scale of an interval; None outside of it."""
        if self.choices:
            word = _one_way(field)
            return float(self.known.index(word)) if word in self.known else None
        value = finite_number(field)
        if value is None or not self.low <= value <= self.high:
            return None
        return math.log(value) if self.log else value


@dataclass(frozen=True)
class TunedPoint:
    """A tuning trial that came to its end with every seed.

    Attributes:
        variant: Whose.
        places: Where it lies, by the name of the key, as `SearchedKey.place` says.
        value: The tuned metric's mean over its seeds.
        tuning: The seed of the table that it tunes for, where each has a tuning of its own; else 0.
    """

    variant: str
    places: Mapping[str, float]
    value: float
    tuning: int = 0


@dataclass(frozen=True)
class Searched:
    """What a search tuned, and its trials.

    Attributes:
        metric: What was tuned for.
        keys: What was tuned.
        points: Of all variants, in the order of `search.csv`.
        planned: Tuning trials of each variant, those included that were pruned, failed or never ran.
    """

    metric: str
    keys: tuple[SearchedKey, ...]
    points: tuple[TunedPoint, ...]
    planned: Mapping[str, int]


def read_search_beside(
    trials_path: Path, metric: str, keys: Sequence[SearchedKey]
) -> tuple[Searched | None, tuple[str, ...]]:
    """What the `search.csv` in the folder of a `trials.csv` holds.

    Args:
        trials_path: The trials' file.
        metric: What was tuned for.
        keys: What was tuned.

    Returns:
        The search, or None and a sentence where the file is missing or of another search.

    Raises:
        UserError: The file is no table of tuning trials.
    """
    path = trials_path.with_name(SEARCH_FILE)
    if not path.is_file():
        return None, (f"importance of tuned keys is not shown: there is no {path}",)
    header, lines = csv_fields(path)
    need_columns(path, header, ("variant", "trial", "seed", "state"))
    missing = [name for name in (metric, *(key.name for key in keys)) if name not in header]
    if missing:
        return None, (f"{path} left out, it is of another search: it has no column '{missing[0]}'",)
    rows: dict[tuple[str, int, int], list[tuple[float, dict[str, float]]]] = {}
    for line, fields in lines:
        row = dict(zip(header, fields, strict=True))
        tuning = whole_field(path, line, TABLE_SEED, row[TABLE_SEED]) if TABLE_SEED in row else 0
        trial = rows.setdefault((row["variant"], tuning, whole_field(path, line, "trial", row["trial"])), [])
        if row["state"] != COMPLETE:
            trial.append((math.nan, {}))
            continue
        places = {key.name: key.place(row[key.name]) for key in keys}
        outside = next((name for name, place in places.items() if place is None), None)
        if outside is not None:
            return None, (
                f"{path} left out, it is of another search: '{row[outside][:40]}' of line {line} was not "
                f"among what is tried for {outside}",
            )
        known = {name: place for name, place in places.items() if place is not None}
        trial.append((number_field(path, line, metric, row[metric]), known))
    planned: dict[str, int] = {}
    points: list[TunedPoint] = []
    for (variant, tuning, _), trained in rows.items():
        planned[variant] = planned.get(variant, 0) + 1
        mean = math.fsum(value for value, _ in trained) / len(trained)
        if not math.isnan(mean):
            points.append(TunedPoint(variant, trained[0][1], mean, tuning))
    return Searched(metric, tuple(keys), tuple(points), planned), ()


def _one_way(field: str) -> str:
    """A choice in one way of writing: a column with gaps has `8.0` where another has `8`."""
    value = finite_number(field)
    return field if value is None else repr(value)
