"""The table as booktabs LaTeX that pdflatex compiles whatever the labels hold."""

from __future__ import annotations

import pandas as pd

from cmae_ablate.report.tables import Table
from cmae_ablate.report.wording import BLANK, DAGGER, MINUS, PLUS_MINUS


def latex(table: Table, label: str) -> str:
    """A booktabs table environment; needs `\\usepackage{booktabs}` and utf8 input, the default since 2018."""
    frame = pd.DataFrame(
        [[latex_text(cell) for cell in line] for line in table.lines],
        columns=list(map(latex_text, table.header)),
    )
    text = frame.style.hide(axis="index").to_latex(
        hrules=True,
        caption=latex_text(table.caption),
        label=f"tab:{''.join(c if c.isalnum() and c.isascii() else '-' for c in label)}",
        column_format="l" + "r" * (len(table.header) - 1),
        position="t",
        position_float="centering",
    )
    if not table.controls:
        return str(text)
    lines = text.splitlines()
    bottom = next(i for i, line in enumerate(lines) if line.startswith("\\bottomrule"))
    lines.insert(bottom - table.controls, "\\midrule")
    return "\n".join(lines) + "\n"


LATEX = {
    **{character: f"\\{character}" for character in "{}$&#%_"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",
    "]": "{]}",
    MINUS: "$-$",
    BLANK: "--",
    PLUS_MINUS: r"$\pm$",
    DAGGER: r"$\dagger$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
    "\N{LEFT SINGLE QUOTATION MARK}": "`",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREEK SMALL LETTER ALPHA}": r"$\alpha$",
    "\N{GREEK SMALL LETTER BETA}": r"$\beta$",
    "\N{GREEK SMALL LETTER LAMDA}": r"$\lambda$",
    "\N{GREEK SMALL LETTER TAU}": r"$\tau$",
}


def latex_text(text: str) -> str:
    """Any label as text that pdflatex sets; a character it has no glyph for is named by its code point."""
    return "".join(
        LATEX.get(c) or (c if c < "\u0180" and c.isprintable() else f"[U+{ord(c):04X}]") for c in text
    )
