"""Columns shared out over parts that are each narrow enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmae_ablate.report.columns import ColumnGroup, in_parts

MAIN, FURTHER, COST = (
    ColumnGroup("", 2),
    ColumnGroup("further metrics", 1),
    ColumnGroup("cost", 2, apart=True),
)
WIDTHS = [10.0, 5.0, 5.0, 5.0, 5.0, 5.0]


def places(room: float) -> list[tuple[int, ...]]:
    return [part.columns for part in in_parts((MAIN, FURTHER, COST), WIDTHS, room)]


def test_cost_stands_apart_however_much_room_there_is() -> None:
    assert places(1000) == [(1, 2, 3), (4, 5)]


def test_groups_that_fit_together_stay_together() -> None:
    assert places(25) == [(1, 2, 3), (4, 5)]
    assert places(20) == [(1, 2), (3,), (4, 5)]


def test_a_group_is_split_where_it_alone_is_too_wide() -> None:
    assert places(15) == [(1,), (2,), (3,), (4,), (5,)]


@given(st.lists(st.floats(1, 100), min_size=6, max_size=6), st.floats(1, 300))
def test_every_column_stands_in_one_part_and_no_part_of_several_is_too_wide(
    widths: list[float], room: float
) -> None:
    parts = in_parts((MAIN, FURTHER, COST), widths, room)
    assert [place for part in parts for place in part.columns] == [1, 2, 3, 4, 5]
    for part in parts:
        wide = sum(widths[place] for place in (0, *part.columns))
        assert wide <= room + 1e-6 or len(part.columns) == 1
