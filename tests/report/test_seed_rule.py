"""The rule by which seeds are added, as a value and in words."""

from __future__ import annotations

import pytest

from cmae_ablate.report.seed_rule import Looks, SeedRule


@pytest.mark.parametrize(
    ("looks", "pairs"),
    [(Looks(3, 1, 6), (3, 4, 5, 6)), (Looks(3, 2, 8), (3, 5, 7, 8)), (Looks(3, 9, 5), (3, 5))],
)
def test_looks_go_on_in_blocks_and_end_at_the_most(looks: Looks, pairs: tuple[int, ...]) -> None:
    assert looks.pairs == pairs


def test_the_last_look_is_the_largest_that_so_many_pairs_fill() -> None:
    looks = Looks(3, 2, 8)
    assert [looks.last(pairs) for pairs in range(10)] == [0, 0, 0, 3, 3, 5, 5, 7, 8, 8]


def test_the_words_say_what_settles_and_where_it_ends() -> None:
    rule = SeedRule(Looks(3, 2, 10), precision=1.0, smallest_effect=0.5)
    assert rule.words == (
        "3 seeds, then 2 more at a time for each declared contrast until its interval is within \u00b11, "
        "or it differs or is equal within \u00b10.5; at most 10"
    )
