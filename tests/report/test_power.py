"""Seed counts against statsmodels' own solver."""

from __future__ import annotations

import math

import pytest
from statsmodels.stats.power import TTestPower

from cmae_ablate.report.power import pairs_to_tell, power_of, told_by


@pytest.mark.parametrize("size", [0.3, 1.0, 2.0])
def test_the_number_of_pairs_is_the_solved_one_rounded_up(size: float) -> None:
    solved = TTestPower().solve_power(size / 1.14, power=0.8, alpha=0.05)
    assert pairs_to_tell(size, 1.14) == math.ceil(solved)


def test_one_pair_fewer_would_not_reach_the_power() -> None:
    needed = int(pairs_to_tell(1.0, 1.14))
    assert power_of(1.0, 1.14, needed - 1) < 0.8 <= power_of(1.0, 1.14, needed)


def test_no_number_of_seeds_tells_a_difference_of_nothing() -> None:
    assert math.isinf(pairs_to_tell(0.0, 1.0))


def test_without_known_noise_no_number_is_given() -> None:
    assert math.isnan(pairs_to_tell(1.0, math.nan))
    assert math.isnan(told_by(1, math.nan))


def test_what_the_present_pairs_tell_needs_just_these_pairs() -> None:
    size = told_by(12, 0.9)
    assert power_of(size, 0.9, 12) == pytest.approx(0.8, abs=1e-4)
