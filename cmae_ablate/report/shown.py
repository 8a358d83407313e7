"""A table as pages show it: shared out over several where one would be wider than screen or paper."""

from __future__ import annotations

from dataclasses import dataclass

from cmae_ablate.report.columns import in_parts
from cmae_ablate.report.tables import Table
from cmae_ablate.report.wording import BLANK, capitalised

ROOM = 92.0
"""Characters that a table's columns take side by side, gaps included, on 1280 pixels and on A4 alike."""
GAP = 2.0
LABEL = 18
"""Characters that labels get at most, where columns compete for room: longer ones take several lines."""


@dataclass(frozen=True)
class Shown:
    """A table as the page shows it, or a part of one.

    Attributes:
        header: Column titles.
        variants: Rows above the rule.
        controls: Rows below it.
        title: What the part shows, where the table is shared out over several.
    """

    header: tuple[str, ...]
    variants: tuple[tuple[str, ...], ...]
    controls: tuple[tuple[str, ...], ...]
    title: str


def shown_in_parts(table: Table) -> tuple[Shown, ...]:
    """The table as one, or shared out so that no part is wider than a page."""
    columns = [max(map(len, column)) for column in zip(*table.lines, strict=True)]
    titles = [max(map(len, title.replace("/", " ").split())) for title in table.header]
    widths = [max(pair) + GAP for pair in zip(columns, titles, strict=True)]
    widths[0] = min(widths[0], LABEL + GAP)
    parts = in_parts(table.groups, widths, ROOM)
    variants = len(table.lines) - table.controls
    return tuple(
        Shown(
            tuple(table.header[c] for c in (0, *part.columns)),
            tuple(tuple(line[c] for c in (0, *part.columns)) for line in table.lines[:variants]),
            tuple(
                tuple(line[c] for c in (0, *part.columns))
                for line in table.lines[variants:]
                if any(line[c] != BLANK for c in part.columns)
            ),
            capitalised(" and ".join(title for title in part.titles if title)) if number else "",
        )
        for number, part in enumerate(parts)
    )
