"""What contrasts share follows from how they correlate, and is Bonferroni's where that is not to count."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

from cmae_ablate.report.shared_error import (
    CLOSEST,
    Share,
    contrast_differences,
    correlation,
    joint_p,
    share_of,
)

# Dunnett 1964, 'New tables for multiple comparisons with a control', Biometrics 20: two-sided 5 %, any number
# of degrees of freedom, 1 to 9 treatments, whose differences from the control correlate by a half.
DUNNETT = (1.96, 2.21, 2.35, 2.44, 2.51, 2.57, 2.61, 2.65, 2.69)


def frame(columns: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame({number: pd.Series(column, dtype=float) for number, column in enumerate(columns)})


@pytest.mark.parametrize("comparisons", range(1, 10))
def test_limits_at_a_correlation_of_a_half_are_dunnetts_published_ones(comparisons: int) -> None:
    limit = -special.ndtri(Share(comparisons, 0.5).level / 2)
    assert round(float(limit), 2) == DUNNETT[comparisons - 1]


def test_independent_contrasts_have_sidaks_share_and_unknown_ones_bonferronis() -> None:
    assert Share(9, 0.0).level == pytest.approx(1 - 0.95 ** (1 / 9), rel=1e-6)
    assert Share(9).level == pytest.approx(0.05 / 9)
    assert Share(9).joint(0.01) == pytest.approx(0.09)
    assert Share(9).joint(0.5) == 1.0
    assert Share(1, 0.7).level == 0.05


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8, CLOSEST])
@pytest.mark.parametrize("p", [0.2, 0.01, 1e-4])
def test_the_joint_p_of_two_is_what_a_double_integral_says(rho: float, p: float) -> None:
    limit = float(stats.norm.isf(p / 2))
    own = math.sqrt(1 - rho**2)

    def stays(x: float) -> float:  # of the second variable, given the first
        within = stats.norm.cdf((limit - rho * x) / own) - stats.norm.cdf((-limit - rho * x) / own)
        return float(stats.norm.pdf(x) * within)

    inside = integrate.quad(stays, -limit, limit, epsabs=1e-12)[0]
    assert joint_p(p, rho, 2) == pytest.approx(1 - inside, rel=1e-6)


def test_a_joint_p_lies_between_the_p_and_bonferronis_and_falls_as_contrasts_correlate() -> None:
    for p in (0.0, 1e-12, 1e-6, 0.003, 0.04, 0.6, 1.0):
        found = [joint_p(p, rho, 9) for rho in (0.0, 0.2, 0.5, 0.8, CLOSEST)]
        assert all(p <= each <= min(1.0, 9 * p) + 1e-12 for each in found)
        assert found == sorted(found, reverse=True)
    assert math.isnan(joint_p(math.nan, 0.5, 9))
    assert math.isnan(Share(9, 0.5).joint(math.nan))


def test_a_correlation_is_the_mean_square_of_all_pairs_less_what_chance_makes_of_it() -> None:
    columns = [[1.0, 4.0, 2.0, 7.0, 5.0], [2.0, 3.0, 3.0, 8.0, 4.0], [-1.0, 0.5, 9.0, -6.0, 2.0]]
    squares = [np.corrcoef(a, b)[0, 1] ** 2 for a, b in itertools.combinations(columns, 2)]
    assert correlation(frame(columns)) == pytest.approx(math.sqrt(np.mean(squares) - 1 / 4))


def test_the_way_that_a_correlation_goes_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 3))
    chained = contrast_differences(
        [("b", "a"), ("c", "b")], pd.DataFrame(noise, columns=["a", "b", "c"])
    )  # -1/2
    with_one_reference = contrast_differences(
        [("b", "a"), ("c", "a")], pd.DataFrame(noise, columns=["a", "b", "c"])
    )  # +1/2
    assert correlation(chained) == pytest.approx(0.5, abs=0.05)
    assert correlation(with_one_reference) == pytest.approx(0.5, abs=0.05)


def test_what_is_unknown_counts_as_independent() -> None:
    alike = [1.0, 2.0, 4.0, 3.0]
    assert correlation(frame([alike, alike])) == pytest.approx(math.sqrt(1 - 1 / 3))
    assert correlation(frame([alike, [math.nan] * 4])) == 0.0
    assert correlation(frame([alike, [5.0] * 4])) == 0.0
    assert correlation(frame([alike[:2], alike[:2]])) == 0.0
    # One pair of three is known: a third of its square.
    assert correlation(frame([alike, alike, [math.nan] * 4])) == pytest.approx(math.sqrt((1 - 1 / 3) / 3))
    # Four seeds of five have both: as if there were no fifth.
    assert correlation(frame([[*alike, 9.0], [*alike, math.nan]])) == pytest.approx(math.sqrt(1 - 1 / 3))


def test_no_closer_correlation_is_counted_on_than_the_closest() -> None:
    many = list(np.random.default_rng(1).normal(size=400))
    assert correlation(frame([many, many])) == CLOSEST


def test_a_contrast_of_a_variant_that_is_gone_stays_in_the_family() -> None:
    values = pd.DataFrame({"r": [1.0, 2.0, 4.0], "a": [2.0, 5.0, 4.0]})
    found = contrast_differences([("a", "r"), ("gone", "r")], values)
    assert found[0].tolist() == [1.0, 3.0, 0.0]
    assert found[1].isna().all()
    assert share_of(found, 2, "correlation") == Share(2, 0.0)


def test_later_seeds_do_not_change_a_share_and_a_plan_may_keep_to_bonferronis() -> None:
    noise = np.random.default_rng(2).normal(size=(12, 4))
    values = pd.DataFrame(noise, columns=["r", "a", "b", "c"])
    family = [("a", "r"), ("b", "r"), ("c", "r")]
    whole, early = (contrast_differences(family, values.iloc[:n]) for n in (12, 8))
    assert share_of(whole, 7, "correlation") == share_of(early, 7, "correlation")
    assert share_of(whole, 7, "correlation") != share_of(whole, 11, "correlation")
    assert share_of(whole, 7, "bonferroni") == Share(3)
