"""The rounded table on a terminal of any width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from cmae_ablate.report.wording import BLANK, MINUS
from cmae_ablate.terminal import Column, say, say_table

TITLE_WORDS = 9
"""A header folds at words where it is longer than this."""
LABEL_WIDTH, GAP, MARGINS = 24, 3, 2
WORDS = ("reference", "no paired seed")


def show_table(lines: Sequence[Sequence[str]], title: str, console: Console) -> None:
    """Print a table, header first; where the terminal is too narrow, in several parts, each with the labels.

    Args:
        lines: The header and the rows, equally long; the first column labels a row.
        title: What is printed above, if anything.
        console: Where to print.
    """
    columns = list(zip(*lines, strict=True))
    if title:
        say(title, console, style="bold")
    rest = list(range(1, len(columns)))
    part = [0]
    while rest:
        part = [0, rest.pop(0)]
        while rest and _wide([columns[i] for i in [*part, rest[0]]]) <= console.width:
            part.append(rest.pop(0))
        header = [_column(*columns[i]) for i in part]
        say_table(header, [[row[i] for i in part] for row in lines[1:]], console, framed=False)


def _column(title: str, *cells: str) -> Column:
    """Numbers to the right and in one piece, words to the left."""
    return Column(_folded(title), is_number=is_numeric(cells))


def is_numeric(cells: Sequence[str]) -> bool:
    """Whether a column's cells are numbers, or stand in the place of one."""
    return all(
        cell[:1] in f"{BLANK}{MINUS}+<" or cell[0].isdigit() or cell in WORDS for cell in cells if cell
    )


def _wide(columns: Sequence[Sequence[str]]) -> int:
    """Characters that the columns take side by side, the first one folded, with a margin on each side."""
    widths = [
        max(len(line) for cell in (_folded(c[0]), *c[1:]) for line in cell.split("\n")) for c in columns
    ]
    return min(widths[0], LABEL_WIDTH) + sum(widths[1:]) + GAP * (len(widths) - 1) + MARGINS


def _folded(title: str) -> str:
    """The title in lines of whole words, none much longer than its longest word."""
    lines: list[str] = []
    for word in title.split():
        if lines and len(lines[-1]) + 1 + len(word) <= TITLE_WORDS:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
