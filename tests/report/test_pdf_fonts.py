"""What a PDF's fonts hold, read by fontTools."""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from fontTools.subset import Options
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure

from cmae_ablate.report.pdf_fonts import without_shaping
from cmae_ablate.report.theme import FigureJob, Theme, save


def test_a_font_in_a_pdf_has_the_figure_s_letters_and_no_rules_of_shaping(tmp_path: Path) -> None:
    def figure(_: Theme) -> Figure:
        drawn = Figure(figsize=(2, 1))
        drawn.text(0.1, 0.5, "AVfi")  # a pair that is kerned, and a ligature
        return drawn

    _, pdf = save(FigureJob("letters", "Letters", "letters", figure), tmp_path)
    fonts = [
        TTFont(BytesIO(zlib.decompress(stream)))
        for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf.read_bytes(), re.DOTALL)
        if zlib.decompress(stream)[:4] == b"\x00\x01\x00\x00"
    ]
    outlines = [font["glyf"][name] for font in fonts for name in font.getGlyphOrder()]
    assert sum(outline.numberOfContours > 0 for outline in outlines) >= 3
    assert all({"glyf", "head", "hmtx", "loca", "maxp"} <= set(font.keys()) for font in fonts)
    assert not any({"GSUB", "GPOS", "GDEF", "kern"} & set(font.keys()) for font in fonts)


def test_fonts_that_others_embed_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Options().drop_tables
    with pytest.raises(KeyError), without_shaping():
        assert "GPOS" in Options().drop_tables
        raise KeyError
    assert Options().drop_tables == before
    monkeypatch.delattr(Options, "_drop_tables_default")  # as of another fontTools
    with without_shaping():
        assert not hasattr(Options, "_drop_tables_default")
