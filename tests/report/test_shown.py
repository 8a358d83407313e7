"""A table shared out over several, none wider than a page."""

from __future__ import annotations

import pandas as pd

from cmae_ablate.report.columns import ColumnGroup
from cmae_ablate.report.shown import ROOM, shown_in_parts
from cmae_ablate.report.tables import Table


def table(further: int) -> Table:
    header = ("variant", "n", "metric", *(f"further {i}" for i in range(further)), "seconds")
    lines = (
        ("MAE", "3", "34.00 \u00b1 1.00", *["12.00 \u00b1 1.00"] * further, "152"),
        ("raw pixels", "1", "14.70", *["\u2013"] * further, "\u2013"),
    )
    groups = (
        ColumnGroup("", 2),
        *([ColumnGroup("further metrics", further)] if further else []),
        ColumnGroup("cost", 1, apart=True),
    )
    return Table(header, lines, pd.DataFrame(), 1, "Title.", "Note.", groups)


def test_every_number_is_shown_once_under_its_title() -> None:
    parts = shown_in_parts(table(12))
    assert [title for part in parts for title in part.header[1:]] == list(table(12).header[1:])
    for part in parts:
        for row in (*part.variants, *part.controls):
            assert len(row) == len(part.header)


def test_no_part_has_more_letters_in_a_row_than_a_page_takes() -> None:
    for part in shown_in_parts(table(12)):
        assert max(len(" ".join(row)) for row in (*part.variants, *part.controls)) <= ROOM


def test_rows_of_controls_that_say_nothing_are_left_out() -> None:
    first, cost = shown_in_parts(table(0))
    assert [row[0] for row in first.controls] == ["raw pixels"]
    assert cost.controls == ()


def test_parts_are_titled_by_what_they_hold_but_the_first() -> None:
    assert [part.title for part in shown_in_parts(table(3))] == ["", "Cost"]
