"""The table as Markdown, whatever a label holds."""

from __future__ import annotations

from collections.abc import Callable

from cmae_ablate.report.markdown import markdown
from tests.report.test_latex import NASTY, built


def test_markdown_has_one_line_a_row_and_the_same_columns_in_each(build: Callable) -> None:
    lines = [line for line in markdown(built(build, "MAE", NASTY)).splitlines() if line.startswith("|")]
    unescaped = [line.replace("\\|", "") for line in lines]
    assert len(lines) == 6
    assert len({line.count("|") for line in unescaped}) == 1
