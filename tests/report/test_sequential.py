"""Intervals over several looks: against published constants, brute simulation and arithmetic written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cmae_ablate.report.seed_rule import Looks
from cmae_ablate.report.sequential import (
    chance_to_cross,
    expected_pairs,
    half_width,
    look_level,
    overall_p,
    repeated,
    repeated_equivalence,
)


def t_statistics(studies: int, most: int, seed: int) -> np.ndarray:
    """Of `studies` null studies after each number of pairs, (studies, most): NaN with one pair."""
    x = np.random.default_rng(seed).normal(3.0, 7.0, (studies, most)) - 3.0
    n = np.arange(1, most + 1)
    mean = x.cumsum(axis=1) / n
    with np.errstate(all="ignore"):
        variance = (np.square(x).cumsum(axis=1) - n * mean**2) / (n - 1)
        return np.asarray(mean / np.sqrt(variance / n))


def test_two_looks_cross_with_the_chance_that_a_double_integral_has() -> None:
    # After 2 and 3 pairs: t2 = (x1 + x2) / |x1 - x2| is the cotangent of a uniform angle, so P(|t2| > 5) is
    # known; the rest by brute force over a fine grid of directions on the sphere.
    limits = {2: 5.0, 3: 2.0}
    steps = 700
    height = (np.arange(steps) + 0.5) / steps * 2 - 1  # uniform on the sphere: height and angle
    turn = (np.arange(2 * steps) + 0.5) / (2 * steps) * 2 * math.pi
    z, a = np.meshgrid(height, turn, indexing="ij")
    x, y = np.sqrt(1 - z**2) * np.cos(a), np.sqrt(1 - z**2) * np.sin(a)
    t2 = np.abs(x + y) / np.abs(x - y)
    mean = (x + y + z) / 3
    t3 = np.abs(mean) / np.sqrt((1 - 3 * mean**2) / 2 / 3)
    expected = ((t2 > limits[2]) | (t3 > limits[3])).mean()
    assert chance_to_cross({2: 5.0}) == pytest.approx(2 * math.atan(1 / 5) / math.pi, abs=1e-6)
    assert chance_to_cross(limits) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("looks", [Looks(3, 1, 10), Looks(2, 3, 9), Looks(4, 4, 20)])
def test_over_all_looks_one_in_twenty_null_studies_crosses(looks: Looks) -> None:
    t = np.abs(t_statistics(40_000, looks.most, seed=1))
    for level in (0.05, 0.05 / 3):
        limits = [stats.t.ppf(1 - look_level(looks, n, level) / 2, n - 1) for n in looks.pairs]
        crossed = (t[:, [n - 1 for n in looks.pairs]] > limits).any(axis=1).mean()
        assert crossed == pytest.approx(level, abs=5 * math.sqrt(level / 40_000))


@pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (5, 2.413)])
def test_with_many_pairs_limits_are_pococks_published_ones(looks: int, constant: float) -> None:
    # Jennison and Turnbull 2000, table 2.1: two-sided 5 %, known variance, one limit at all looks.
    limits = {20 * k: -stats.t.ppf(stats.norm.cdf(-constant), 20 * k - 1) for k in range(1, looks + 1)}
    # Ours are for 19 degrees of freedom and more, and rounded to the safe side with so many pairs.
    assert 0.05 <= chance_to_cross(limits) <= 0.0525


def test_limits_fall_with_the_fourth_root_of_the_pairs() -> None:
    looks = Looks(4, 4, 16)
    z = {n: -stats.norm.ppf(look_level(looks, n, 0.05) / 2) for n in looks.pairs}
    assert z[4] / z[16] == pytest.approx(math.sqrt(2), rel=1e-9)
    assert z[8] / z[16] == pytest.approx(2**0.25, rel=1e-9)


def test_the_p_value_is_the_level_whose_limit_the_study_reaches() -> None:
    looks = Looks(3, 2, 9)
    for level in (0.2, 0.05, 0.004):
        own = {5: look_level(looks, 5, level)}
        assert overall_p(looks, own) == pytest.approx(level, rel=2e-3)
        # A weaker look beside it changes nothing.
        assert overall_p(looks, {**own, 7: 0.9}) == overall_p(looks, own)


def test_an_interval_reaches_zero_exactly_where_the_p_value_reaches_the_level() -> None:
    looks = Looks(3, 1, 6)
    differences = np.array([1.3, 0.2, 2.1, 0.9, 1.6, 1.2])
    against = np.full(6, 30.0)
    found = repeated(against + differences, against, looks)
    by_hand = differences.std(ddof=1) / math.sqrt(6)
    quantile = stats.t.ppf(1 - look_level(looks, 6, 0.05) / 2, 5)
    assert (found.ci_high - found.delta) == pytest.approx(quantile * by_hand, rel=1e-12)
    assert (found.ci_low > 0) == (found.p < 0.05)
    assert found.ci_high - found.ci_low > 2 * stats.t.ppf(0.975, 5) * by_hand


def test_p_values_never_rise_from_look_to_look() -> None:
    looks, rng = Looks(3, 1, 12), np.random.default_rng(4)
    against = rng.normal(30, 1, 12)
    values = against + rng.normal(0.5, 1, 12)
    found = [repeated(values[:n], against[:n], looks).p for n in looks.pairs]
    assert found == sorted(found, reverse=True)


def test_a_number_of_pairs_that_is_no_look_has_no_interval() -> None:
    found = repeated(np.array([31.0, 32.0, 30.5, 31.0]), np.full(4, 30.0), Looks(3, 2, 7))
    assert found.delta == pytest.approx(1.125)
    assert math.isnan(found.ci_low) and math.isnan(found.p)


def test_equality_is_an_interval_inside_the_margin() -> None:
    looks, against = Looks(3, 3, 9), np.full(6, 30.0)
    values = against + np.array([0.3, -0.2, 0.1, 0.25, -0.15, 0.0])
    found = repeated(values, against, looks)
    half = half_width(looks, 6, found.noise)
    for margin, is_inside in (
        (abs(found.delta) + 1.01 * half, True),
        (abs(found.delta) + 0.99 * half, False),
    ):
        assert (repeated_equivalence(values, against, margin, looks).p < 0.05) is is_inside


def test_a_difference_beyond_the_margin_is_never_equal() -> None:
    looks, against = Looks(3, 1, 5), np.full(5, 30.0)
    values = against + np.array([2.1, 1.9, 2.0, 2.2, 1.8])
    found = repeated_equivalence(values, against, 1.0, looks)
    assert found.p > 0.5 and found.p_no_worse < 0.05


def test_the_expected_number_of_pairs_is_the_first_look_that_is_narrow_enough() -> None:
    looks = Looks(3, 1, 20)
    expected = next(
        n
        for n in looks.pairs
        if stats.t.ppf(1 - look_level(looks, n, 0.05) / 2, n - 1) * 1.2 / math.sqrt(n) <= 1.0
    )
    assert expected_pairs(looks, 1.2, 1.0, 0.05) == expected
    assert math.isinf(expected_pairs(looks, 30.0, 1.0, 0.05))
