"""The table as Markdown."""

from __future__ import annotations

import pandas as pd

from cmae_ablate.report.tables import Table


def markdown(table: Table) -> str:
    """The rounded table and its caption; pipes and backslashes in labels are escaped."""
    lines = [[_markdown_text(cell) for cell in line] for line in table.lines]
    frame = pd.DataFrame(lines, columns=[_markdown_text(title) for title in table.header])
    align = ("left", *("right" for _ in table.header[1:]))
    body = frame.to_markdown(index=False, colalign=align, disable_numparse=True)
    return f"{body}\n\n{_markdown_text(table.caption)}\n"


def _markdown_text(text: str) -> str:
    for character in "\\|*_`<[":
        text = text.replace(character, f"\\{character}") if character != "<" else text.replace("<", "&lt;")
    return text
