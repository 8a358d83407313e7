"""Dunnett's test against his published tables and numbers written out."""

from __future__ import annotations

import math

import pytest

from cmae_ablate.report.dunnett import critical_value, exceeded, step_down


@pytest.mark.parametrize(
    ("comparisons", "df", "published"),
    [
        (2, 5, 3.03),
        (9, 5, 3.97),
        (2, 10, 2.57),
        (3, 10, 2.76),
        (9, 10, 3.24),
        (3, 20, 2.54),
        (9, 20, 2.95),
    ],
)
def test_critical_values_are_those_of_the_table(comparisons: int, df: int, published: float) -> None:
    # Dunnett 1964, 'New tables for multiple comparisons with a control', two-sided, 5 %.
    assert critical_value(comparisons, df) == pytest.approx(published, abs=0.006)


def test_a_single_comparison_is_the_t_test() -> None:
    # With two degrees of freedom P(|T| > t) = 1 - t / sqrt(t^2 + 2).
    for t in (0.0, 0.5, 2.0, 4.302653, 20.0):
        assert exceeded(t, 1, 2) == pytest.approx(1 - t / math.sqrt(t * t + 2), abs=2e-5)


def test_the_largest_statistic_is_held_against_all_and_the_next_against_the_rest() -> None:
    statistics = [1.0, -4.0, 2.5]
    adjusted = step_down(statistics, 10)
    assert adjusted[1] == exceeded(4.0, 3, 10)
    assert adjusted[2] == exceeded(2.5, 2, 10)
    assert adjusted[0] == exceeded(1.0, 1, 10)


def test_adjusted_p_values_never_fall_below_those_of_larger_statistics() -> None:
    adjusted = step_down([2.0, 1.999], 10)
    assert adjusted[1] == adjusted[0]


def test_a_comparison_without_cells_stays_in_the_family() -> None:
    adjusted = step_down([3.0, math.nan], 10)
    assert adjusted[0] == exceeded(3.0, 2, 10)
    assert math.isnan(adjusted[1])
