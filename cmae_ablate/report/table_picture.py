"""The rounded table as a Matplotlib picture, laid out by the measured width of every cell."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmae_ablate.report.tables import Table
from cmae_ablate.report.theme import FONT, SMALL, FigureJob, Theme, wrapped
from cmae_ablate.report.wording import counted

GAP = 0.16
LINE = 0.125
PAD = 0.07
MARGIN = 0.08
LABEL_WIDTH = 34
HEADER_WIDTH = 13
MOST_LINES = 5
"""Of a title or a label, whose row makes room for them."""


def table_picture(table: Table, name: str = "table") -> FigureJob:
    """A booktabs-like table: rules above, below the header, above contrasts and controls, and below."""

    def draw(theme: Theme) -> Figure:
        header = [_folded(title) for title in table.header]
        lines = [[wrapped(line[0], LABEL_WIDTH, MOST_LINES), *line[1:]] for line in table.lines]
        widths = _widths([header, *lines])
        width = sum(widths) + GAP * (len(widths) - 1) + 2 * MARGIN
        heights = [_height(line) for line in (header, *lines)]
        caption = textwrap.fill(table.caption, int(width / 0.047))
        tall = sum(heights) + 2 * MARGIN + 0.115 * (caption.count("\n") + 1) + 0.1
        figure = Figure(figsize=(width, tall))
        _write(
            figure,
            lines=[header, *lines],
            widths=widths,
            heights=heights,
            below=[count for count in (table.controls, table.controls + table.contrasts) if count],
            theme=theme,
        )
        figure.text(
            MARGIN / width,
            MARGIN / tall,
            caption,
            fontsize=SMALL,
            color=theme.faint,
            va="bottom",
            linespacing=1.25,
        )
        return figure

    rows = {"variant": table.variants, "contrast": table.contrasts, "control": table.controls}
    told = (counted(count, noun) for noun, count in rows.items() if count or noun != "contrast")
    alt = f"The table above as a picture: {', '.join(told)}."
    return FigureJob(name, "Table", alt, draw)


def _folded(title: str) -> str:
    """A column's title in lines of whole words, where these are of any usual length."""
    longest = max(map(len, title.split()), default=0)
    return wrapped(title, min(max(HEADER_WIDTH, longest), LABEL_WIDTH), MOST_LINES)


def _height(line: Sequence[str]) -> float:
    return LINE * max(cell.count("\n") + 1 for cell in line) + PAD


def _widths(lines: Sequence[Sequence[str]]) -> list[float]:
    """Inches that each column needs, measured with the fonts that draw it."""
    probe = Figure(dpi=100)
    renderer = FigureCanvasAgg(probe).get_renderer()
    text = probe.text(0, 0, "", fontsize=FONT)
    widths = [0.0] * len(lines[0])
    for row, line in enumerate(lines):
        text.set_fontweight("bold" if row == 0 else "normal")
        for column, cell in enumerate(line):
            text.set_text(cell)
            widths[column] = max(widths[column], text.get_window_extent(renderer).width / 100)
    return widths


def _write(
    figure: Figure,
    *,
    lines: Sequence[Sequence[str]],
    widths: Sequence[float],
    heights: Sequence[float],
    below: Sequence[int],
    theme: Theme,
) -> None:
    width, tall = figure.get_size_inches()
    top = tall - MARGIN
    rules = {0: 1.0, 1: 0.6, len(lines): 1.0}
    for count in below:  # rows below a rule: controls, and these with the contrasts
        rules.setdefault(len(lines) - count, 0.4)
    for row in range(len(lines) + 1):
        if row in rules:
            figure.add_artist(_rule(figure, top / tall, rules[row], theme))
        if row == len(lines):
            break
        left = MARGIN
        for column, cell in enumerate(lines[row]):
            right = left + widths[column]
            figure.text(
                (left if column == 0 else right) / width,
                (top - heights[row] / 2) / tall,
                cell,
                ha="left" if column == 0 else "right",
                va="center",
                fontsize=FONT,
                fontweight="bold" if row == 0 else "normal",
            )
            left = right + GAP
        top -= heights[row]


def _rule(figure: Figure, y: float, linewidth: float, theme: Theme) -> Line2D:
    edge = MARGIN / float(figure.get_size_inches()[0])
    return Line2D(
        [edge, 1 - edge], [y, y], color=theme.ink, linewidth=linewidth, transform=figure.transFigure
    )
