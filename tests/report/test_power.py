"""Numbers of seeds against published ones and against an integral written out here."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from cmae_ablate.report.power import (
    Planning,
    minimum_detectable_effect,
    power_of,
    required_pairs,
    required_pairs_interval,
)

RATIOS = np.geomspace(0.02, 60, 690)
MANY = 1_000_000
"""Pairs that leave no doubt about the noise."""


def integrated(ratio: float, pairs: int, level: float) -> float:
    """P(|t| > critical value) by summing over the mean's z the chance that the deviation is small enough."""
    critical = special.stdtrit(pairs - 1, 1 - level / 2)
    z = np.linspace(-10, 10, 4001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    mean = z + math.sqrt(pairs) * ratio
    return float(density @ special.chdtr(pairs - 1, (pairs - 1) * (mean / critical) ** 2))


def fewest(ratio: float, level: float = 0.05) -> int:
    """The first number of pairs whose power reaches 80 %, by counting up."""
    pairs = 2
    while integrated(ratio, pairs, level) < 0.8:
        pairs += 1
    return pairs


@pytest.mark.parametrize(("dz", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_known_noise_needs_the_pairs_of_cohens_small_medium_and_large_effect(dz: float, pairs: int) -> None:
    # Two-sided 5 %, 80 %: the published numbers of the paired t test (G*Power 3.1).
    assert required_pairs(dz, Planning(1.0, MANY)) == pairs


@pytest.mark.parametrize("comparisons", [1, 3, 9])
def test_power_is_a_number_everywhere_rises_with_the_effect_and_is_the_integral(comparisons: int) -> None:
    planning = Planning(1.0, 10, comparisons)
    for pairs in (2, 3, 5, 10, 30, 1_000, 100_000):
        found = np.array([power_of(r, planning, pairs, noise_known=True) for r in RATIOS])
        assert np.isfinite(found).all()
        assert (np.diff(found) > -1e-9).all()
        if pairs <= 30:
            expected = [integrated(r, pairs, 0.05 / comparisons) for r in RATIOS]
            assert found == pytest.approx(expected, abs=1e-6)


def test_every_ratio_of_effect_to_noise_has_a_number_of_pairs_and_larger_ones_need_no_more() -> None:
    needed = np.array([required_pairs(r, Planning(1.0, 5)) for r in RATIOS])
    assert np.isfinite(needed).all()
    assert (np.diff(needed) <= 0).all()
    assert needed[-1] == 2


@pytest.mark.parametrize("comparisons", [3, 9])
def test_planned_is_at_holms_first_step(comparisons: int) -> None:
    planning = Planning(1.14, MANY, comparisons)
    assert required_pairs(1.0, planning) == fewest(1 / 1.14, 0.05 / comparisons)


@pytest.mark.parametrize("pilot", [3, 5, 10])
def test_who_follows_the_advice_of_many_pilots_detects_in_four_of_five(pilot: int) -> None:
    # Pilots whose deviations are evenly spread over its distribution; the true one is 1.
    quantiles = (np.arange(200) + 0.5) / 200
    seen = np.sqrt(2 * special.gammaincinv((pilot - 1) / 2, quantiles) / (pilot - 1))
    stated = [int(required_pairs(0.9, Planning(s, pilot, 3))) for s in seen]
    reached = np.mean([integrated(0.9, n, 0.05 / 3) for n in stated])
    assert 0.78 < reached < 0.83


def test_the_interval_of_the_number_comes_from_the_chi_square_interval_of_the_noise() -> None:
    # With two degrees of freedom chi-square quantiles are -2 ln(1 - q): 0.521 and 6.285 times the noise.
    low, high = (math.sqrt(2 / (-2 * math.log(1 - q))) for q in (0.975, 0.025))
    assert (low, high) == pytest.approx((0.5207, 6.2847), abs=1e-4)
    found = required_pairs_interval(2.0, Planning(1.0, 3))
    assert found == (fewest(2.0 / low), fewest(2.0 / high))
    assert found[0] < required_pairs(2.0, Planning(1.0, 3)) < found[1]


def test_one_pair_fewer_would_not_reach_the_power() -> None:
    planning = Planning(1.14, 5, 3)
    needed = int(required_pairs(1.0, planning))
    assert power_of(1.0, planning, needed - 1) < 0.8 <= power_of(1.0, planning, needed)


def test_no_number_of_seeds_detects_a_difference_of_nothing() -> None:
    assert math.isinf(required_pairs(0.0, Planning(1.0, 5)))
    assert math.isinf(required_pairs(1e-4, Planning(1.0, 5)))


@pytest.mark.parametrize("planning", [Planning(math.nan, 5), Planning(0.0, 5), Planning(math.nan, 1)])
def test_without_known_noise_no_number_is_given(planning: Planning) -> None:
    assert math.isnan(required_pairs(1.0, planning))
    assert all(map(math.isnan, required_pairs_interval(1.0, planning)))
    assert math.isnan(minimum_detectable_effect(planning))


def test_without_an_effect_of_interest_no_number_is_given() -> None:
    assert math.isnan(required_pairs(math.nan, Planning(1.0, 5)))


@pytest.mark.parametrize("pairs", [2, 3, 12])
def test_what_the_present_pairs_detect_needs_just_these_pairs(pairs: int) -> None:
    planning = Planning(0.9, pairs, 3)
    assert required_pairs(minimum_detectable_effect(planning), planning) == pairs
    assert required_pairs(0.99 * minimum_detectable_effect(planning), planning) > pairs


def test_shared_variances_need_fewer_pairs() -> None:
    own, pooled = Planning(1.0, 3), Planning(1.0, 3, df_per_pair=4)
    moderated = Planning(1.0, 3, prior_df=2)
    assert required_pairs(1.0, pooled) < required_pairs(1.0, moderated) < required_pairs(1.0, own)
