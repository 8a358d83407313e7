"""Fonts in a PDF hold glyphs alone: what a font knows of shaping text is of no use to text that is shaped.

A PDF places every glyph itself. To cut the shaping rules of a font down to the letters of a figure takes
fontTools longer than to draw the figure, and no reader of a PDF looks at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

SHAPING = ("GSUB", "GPOS", "GDEF", "BASE", "JSTF", "MATH", "kern")
"""OpenType's tables about text that is yet to be laid out."""


@contextmanager
def without_shaping() -> Iterator[None]:
    """Let Matplotlib, which leaves the choice of tables to fontTools' defaults, embed fonts without these."""
    from fontTools.subset import Options  # with Matplotlib's PDFs, where one is written

    name = "_drop_tables_default"
    before = getattr(Options, name, None)
    if before is None:  # another fontTools: slower, and as right
        yield
        return
    setattr(Options, name, [*before, *SHAPING])
    try:
        yield
    finally:
        setattr(Options, name, before)
