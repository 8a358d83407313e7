"""A table as wide as the terminal is: in a frame where that leaves its words whole, else in parts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from cmae_ablate.report.terminal import LABEL_WIDTH, is_numeric, show_table
from cmae_ablate.terminal import Column, say_table

FRAME = 3
"""What a column's border and margins take."""


def fits(header: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> bool:
    """Whether a framed table breaks no words; its labels may fold.

    Args:
        header: The columns' titles, which fold at words.
        rows: Their cells; the first column labels the rows.
        console: Where it would be shown.
    """
    widths = [
        max(len(text) for text in (*title.split(), *cells))
        for title, *cells in zip(header, *rows, strict=True)
    ]
    widths[0] = min(widths[0], LABEL_WIDTH)
    return sum(widths) + FRAME * len(widths) + 1 <= console.width


def show_fitting(header: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table whose first column labels its rows, in a frame or in parts that repeat the labels."""
    if fits(header, rows, console):
        columns = zip(header, *rows, strict=True)
        say_table([Column(title, is_number=is_numeric(cells)) for title, *cells in columns], rows, console)
    else:
        show_table([header, *rows], "", console)
