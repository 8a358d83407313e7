"""A table as pages show it: shared out over several where one would be wider than screen or paper."""

from __future__ import annotations

from dataclasses import dataclass

from cmae_ablate.report.columns import Part, in_parts
from cmae_ablate.report.tables import Table
from cmae_ablate.report.wording import BLANK, capitalised

ROOM = 92.0
"""Characters that a table's columns take side by side, gaps included, on 1280 pixels and on A4 alike."""
GAP = 2.0
LABEL = 18
"""Characters that labels get at most, where columns compete for room: longer ones take several lines."""


Lines = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Shown:
    """A table as the page shows it, or a part of one.

    Attributes:
        header: Column titles.
        variants: Rows above the first rule.
        contrasts: Rows below it: comparisons with a variant other than the reference.
        controls: Rows below the last one.
        title: What the part shows, where the table is shared out over several.
    """

    header: tuple[str, ...]
    variants: Lines
    contrasts: Lines
    controls: Lines
    title: str


def shown_in_parts(table: Table) -> tuple[Shown, ...]:
    """The table as one, or shared out so that no part is wider than a page."""
    columns = [max(map(len, column)) for column in zip(*table.lines, strict=True)]
    titles = [max(map(len, title.replace("/", " ").split())) for title in table.header]
    widths = [max(pair) + GAP for pair in zip(columns, titles, strict=True)]
    widths[0] = min(widths[0], LABEL + GAP)
    first, last = table.variants, len(table.lines) - table.controls
    return tuple(
        Shown(
            tuple(table.header[c] for c in (0, *part.columns)),
            _cut(table.lines[:first], part),
            _with_content(_cut(table.lines[first:last], part)),
            _with_content(_cut(table.lines[last:], part)),
            capitalised(" and ".join(title for title in part.titles if title)) if number else "",
        )
        for number, part in enumerate(in_parts(table.groups, widths, ROOM))
    )


def _cut(lines: Lines, part: Part) -> Lines:
    """The labels, and a part's columns."""
    return tuple(tuple(line[c] for c in (0, *part.columns)) for line in lines)


def _with_content(lines: Lines) -> Lines:
    """Without rows that say nothing: contrasts and controls cost nothing."""
    return tuple(line for line in lines if any(cell != BLANK for cell in line[1:]))
