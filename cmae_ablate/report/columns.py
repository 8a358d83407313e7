"""A table's columns in groups, and in parts that are each narrow enough, every part headed by the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that stand together where there is room.

    Attributes:
        title: What they are, for the caption of a part that begins with them; empty of the first group.
        size: How many columns.
        apart: Whether they never stand in one part with the first group.
    """

    title: str
    size: int
    apart: bool = False


@dataclass(frozen=True)
class Part:
    """Some columns, without the labels' own.

    Attributes:
        titles: Of the groups that they are of.
        columns: Their places in the table; the labels' is 0.
    """

    titles: tuple[str, ...]
    columns: tuple[int, ...]


def in_parts(groups: Sequence[ColumnGroup], widths: Sequence[float], room: float) -> tuple[Part, ...]:
    """Share the columns out, group by group; groups are split only where one alone is too wide.

    Args:
        groups: Of all columns but the labels'.
        widths: Of every column with its share of the gaps, the labels' first.
        room: How wide a part may be, the labels included. A column that is wider stands alone.
    """
    parts: list[Part] = []
    first = 1
    for group in groups:
        places = range(first, first + group.size)
        first += group.size
        wide = sum(widths[place] for place in places)
        last = parts[-1] if parts else None
        beside = sum(widths[place] for place in (0, *last.columns)) if last else 0.0
        if last and beside + wide <= room and not (group.apart and groups[0].title in last.titles):
            parts[-1] = Part((*last.titles, group.title), (*last.columns, *places))
        else:
            cuts = _cuts(places, widths, room)
            parts += [Part((group.title,), tuple(range(low, high))) for low, high in pairwise(cuts)]
    return tuple(parts)


def _cuts(places: range, widths: Sequence[float], room: float) -> list[int]:
    """Where parts of one group begin, and where the last one ends."""
    cuts, wide = [places.start], widths[0]
    for place in places:
        if wide + widths[place] > room and place > cuts[-1]:
            cuts.append(place)
            wide = widths[0]
        wide += widths[place]
    return [*cuts, places.stop]
