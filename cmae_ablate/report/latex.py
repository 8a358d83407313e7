"""The table as booktabs LaTeX: it fits an article's column, and compiles whatever labels hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from cmae_ablate.report.columns import Part, in_parts
from cmae_ablate.report.tables import Table
from cmae_ablate.report.tex_text import replaced, tex_text, width
from cmae_ablate.report.wording import BLANK

TEXT_WIDTH = 345.0
r"""`\textwidth` of `article` at ten points, in TeX's points."""
GAP = 8.0
r"""Twice `\tabcolsep` as set here."""
NOTE_WORD = 150.0
"""Points of a word, in the note, that may be broken."""
NARROWEST, WIDEST = 80.0, 150.0
"""What labels get at least and at most, where columns compete for room."""


def latex(table: Table, label: str) -> str:
    r"""Table environments that `\input` takes; the first says in a comment what it needs.

    Args:
        table: Of which costs, and other columns that find no room, go to tables of their own.
        label: Of the first, after `tab:`; the second's ends in `-2`.
    """
    header = [_heading(title) for title in table.header]
    widths = [_column_width(column) + GAP for column in zip(header, *table.lines, strict=True)]
    natural = min(widths[0], WIDEST)
    parts = in_parts(table.groups, [min(natural, NARROWEST), *widths[1:]], TEXT_WIDTH)
    name = f"tab:{''.join(c if c.isalnum() and c.isascii() else '-' for c in label)}"
    texts = [_remarks(table)]
    for number, part in enumerate(parts, start=1):
        beside = sum(widths[place] for place in part.columns)
        room = max(NARROWEST, min(natural, TEXT_WIDTH - beside)) - GAP
        own = name if number == 1 else f"{name}-{number}"
        caption = tex_text(table.title) if number == 1 else _continued(part, name)
        note = table.note if number == 1 else ""
        texts.append(_environment(table, header, part, room, caption, own, note))
    return "\n".join(texts)


def _remarks(table: Table) -> str:
    """What the file needs, and which characters it writes otherwise: comments."""
    lines = [
        r"% Needs \usepackage{booktabs}; \input it where article's one column is wide, 345 points at least.",
    ]
    labels = [line[0] for line in table.lines]
    for cluster, shown in replaced(*labels, table.title, table.note).items():
        points = " ".join(
            f"U+{ord(c):04X} {unicodedata.name(c, 'a character without a name')}" for c in cluster
        )
        lines.append(f"% pdflatex has no glyph for {points}: set as {shown or 'nothing'}")
    return "\n".join(lines)


def _environment(
    table: Table,
    header: Sequence[Sequence[str]],
    part: Part,
    room: float,
    caption: str,
    label: str,
    note: str,
) -> str:
    # Every row begins with a brace: `\\` would take a `[` or a `*` there for an option of its own.
    rows = [
        _row(rf"{{{tex_text(line[0], room)}}}\raggedright", *(tex_text(line[c]) for c in part.columns))
        for line in table.lines
    ]
    # Contrasts and controls cost nothing: in a table of costs their rows would be empty.
    first, last = table.variants, len(rows) - table.controls
    contrasts, controls = (
        [rows[at] for at in places if any(table.lines[at][c] != BLANK for c in part.columns)]
        for places in (range(first, last), range(last, len(rows)))
    )
    below = rf"\par\medskip\parbox{{\linewidth}}{{\footnotesize\sloppy {tex_text(note, NOTE_WORD)}}}"
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering\small\setlength{\tabcolsep}{4pt}\setlength{\belowcaptionskip}{4pt}",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{@{{}}p{{{room:.0f}pt}}{'r' * len(part.columns)}@{{}}}}",
            r"\toprule",
            _row(*(_stacked(header[c], "l" if c == 0 else "r") for c in (0, *part.columns))),
            r"\midrule",
            *rows[:first],
            *([r"\midrule", *contrasts] if contrasts else []),
            *([r"\midrule", *controls] if controls else []),
            r"\bottomrule",
            r"\end{tabular}",
            *([below] if note else []),
            r"\end{table}",
            "",
        ]
    )


def _row(*cells: str) -> str:
    return " & ".join(cells) + r" \\"


def _continued(part: Part, label: str) -> str:
    titles = [title for title in part.titles if title] or ["more"]
    words = " and ".join(titles)
    return rf"{tex_text(words[:1].upper() + words[1:])}, for the variants in Table~\ref{{{label}}}."


def _heading(title: str) -> tuple[str, ...]:
    """A title in lines of whole words, none much longer than its longest word."""
    words = (
        title.replace("95 % CI", "95\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}CI").replace("/", "/ ").split(" ")
    )
    width = max(9, *map(len, words))
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return tuple(lines)


def _stacked(lines: Sequence[str], side: str) -> str:
    """Lines above one another, the last one level with the other titles'."""
    if len(lines) == 1:
        return tex_text(lines[0])
    stack = r"\\".join(f"{{{tex_text(line)}}}" for line in lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{stack}\end{{tabular}}"


def _column_width(column: Sequence[str | Sequence[str]]) -> float:
    return max(width(text) for cell in column for text in ([cell] if isinstance(cell, str) else cell))
