"""One difference over several data sets, against published tables and arithmetic written out."""

from __future__ import annotations

import math

import pytest

from cmae_ablate.report.random_effects import Measured, is_heterogeneous, pool

THREE = [Measured(1.0, 0.6, 3), Measured(2.0, 0.3, 3), Measured(6.0, 0.9, 3)]
T_2, T_3 = 4.302653, 3.182446
"""97.5 % points of Student's t with 2 and 3 degrees of freedom, from printed tables."""


def test_every_data_set_counts_the_same_and_the_interval_is_students() -> None:
    found = pool(THREE)
    # Mean (1 + 2 + 6) / 3 = 3; squares 4 + 1 + 9 = 14 over 2 degrees: s = sqrt(7).
    assert (found.k, found.mean) == (3, pytest.approx(3.0))
    assert found.error == pytest.approx(math.sqrt(7 / 3))
    reach = T_2 * math.sqrt(7 / 3)
    assert found.interval == pytest.approx((3 - reach, 3 + reach), rel=1e-6)


def test_a_new_data_set_is_predicted_as_one_more_observation() -> None:
    found = pool([*THREE, Measured(3.0, 0.5, 3)])
    # Mean 3, squares 14 over 3 degrees.
    reach = T_3 * math.sqrt(14 / 3) * math.sqrt(1 + 1 / 4)
    assert found.prediction == pytest.approx((3 - reach, 3 + reach), rel=1e-6)
    assert found.prediction[0] < found.interval[0] < found.interval[1] < found.prediction[1]


def test_p_of_two_degrees_of_freedom_has_a_closed_form() -> None:
    found = pool(THREE)
    t = 3 / math.sqrt(7 / 3)
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t * t))


def test_what_data_sets_differ_by_is_the_variance_beyond_their_noise() -> None:
    found = pool(THREE)
    noise = (0.36 + 0.09 + 0.81) / 3 / 3  # mean of the squared standard errors
    assert found.tau == pytest.approx(math.sqrt(7 - noise))
    assert found.i_squared == pytest.approx((7 - noise) / 7)
    assert found.f == pytest.approx(7 / noise)
    assert is_heterogeneous(found)


def test_equal_noise_gives_the_f_of_a_plain_analysis_of_variance() -> None:
    # 3 groups of 3 with equal variance 1: MS_between = 3 * 7 = 21, MS_within = 1, F(2, 6) = 21. With two
    # degrees above, P(F > f) = (1 + 2 f / 6) ** -3.
    found = pool([Measured(delta, 1.0, 3) for delta in (1.0, 2.0, 6.0)])
    assert found.f == pytest.approx(21.0)
    assert found.p_heterogeneity == pytest.approx((1 + 2 * 21 / 6) ** -3)


def test_less_spread_than_noise_is_no_heterogeneity_and_never_a_negative_variance() -> None:
    found = pool([Measured(delta, 3.0, 3) for delta in (1.0, 1.1, 0.9)])
    assert (found.tau, found.i_squared) == (0.0, 0.0)
    assert not is_heterogeneous(found)


def test_two_data_sets_pool_nothing() -> None:
    found = pool(THREE[:2])
    assert found.k == 2
    assert all(math.isnan(v) for v in (found.mean, *found.interval, *found.prediction, found.p, found.tau))


def test_single_seeds_pool_but_cannot_say_how_much_data_sets_differ() -> None:
    found = pool([Measured(each.delta, math.nan, 1) for each in THREE])
    assert found.mean == pytest.approx(3.0)
    assert math.isnan(found.tau)
    assert math.isnan(found.p_heterogeneity)


def test_equal_differences_without_noise_divide_by_nothing() -> None:
    found = pool([Measured(1.0, 0.0, 3)] * 3)
    assert found.interval == (1.0, 1.0)
    assert math.isnan(found.i_squared)
    assert math.isnan(found.p_heterogeneity)


def test_the_same_difference_on_every_data_set_has_no_test_and_no_prediction_even_after_rounding() -> None:
    # 31.3 - 34.3, 30.5 - 33.5 and 12.7 - 15.7 are -3 but for the last bits, which are no spread.
    found = pool([Measured(a - b, 0.5, 3) for a, b in ((31.3, 34.3), (30.5, 33.5), (12.7, 15.7))])
    assert found.alike and found.mean == pytest.approx(-3.0)
    assert all(math.isnan(value) for value in (found.p, *found.prediction))
    assert (found.tau, found.p_heterogeneity) == (0.0, 1.0)
    assert not pool(THREE).alike


def test_noise_of_the_last_bits_is_no_noise_to_compare_data_sets_by() -> None:
    found = pool([Measured(delta, 1e-15, 3) for delta in (1.0, 2.0, 6.0)])
    assert math.isnan(found.p_heterogeneity)
    assert found.i_squared == 1.0
