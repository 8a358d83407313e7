"""The statistics against scipy and statsmodels called directly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cmae_ablate.report.stats import bootstrap_interval, equivalence, holm, paired

TIGHT = {"rel": 1e-9, "abs": 1e-9}


def pair(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    base = rng.normal(34, 2, n)
    return base + rng.normal(0.5, 1, n), base


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_paired_comparison_is_scipys_paired_t_test(n: int) -> None:
    values, against = pair(n)
    result, expected = paired(values, against), stats.ttest_rel(values, against)
    interval = expected.confidence_interval(0.95)
    assert result.p == pytest.approx(expected.pvalue, **TIGHT)
    assert (result.ci_low, result.ci_high) == pytest.approx((interval.low, interval.high), **TIGHT)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_dz_is_the_mean_difference_over_the_deviation_of_the_differences(n: int) -> None:
    values, against = pair(n)
    differences = [a - b for a, b in zip(values, against, strict=True)]
    mean = math.fsum(differences) / n
    spread = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1))
    assert paired(values, against).dz == pytest.approx(mean / spread, **TIGHT)


def test_a_single_pair_has_a_difference_and_nothing_else() -> None:
    result = paired(np.array([36.0]), np.array([34.5]))
    assert (result.n, result.mean, result.delta) == (1, 36.0, 1.5)
    assert all(map(math.isnan, (result.std, result.ci_low, result.ci_high, result.p, result.dz)))


def test_identical_numbers_differ_by_exactly_zero_in_an_interval_without_width() -> None:
    values = np.array([34.1, 35.7, 33.2])
    result = paired(values, values.copy())
    assert (result.delta, result.ci_low, result.ci_high) == (0.0, 0.0, 0.0)
    assert math.isnan(result.p)
    assert result.noiseless


def test_a_constant_difference_is_known_to_have_no_noise_to_test_by() -> None:
    against = np.array([34.1, 35.7, 33.2, 30.9])
    result = paired(against + 1.1, against)
    assert result.delta == pytest.approx(1.1, **TIGHT)
    assert (result.ci_low, result.ci_high) == pytest.approx((1.1, 1.1), **TIGHT)
    assert result.noiseless


def test_holm_is_statsmodels_holm() -> None:
    p_values = [0.03, 0.001, 0.4, 0.02, 0.02]
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), **TIGHT)


def test_a_comparison_without_p_stays_in_the_family() -> None:
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.03)
    assert math.isnan(adjusted[1])


def test_equivalence_is_the_larger_of_two_one_sided_t_tests() -> None:
    values, against = pair(8)
    margin, differences = 1.5, values - against
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    result = equivalence(values, against, margin)
    assert result.p == pytest.approx(max(above, below), **TIGHT)
    assert (result.p_no_worse, result.p_no_better) == pytest.approx((above, below), **TIGHT)


def test_the_bootstrap_interval_is_scipys_bca_interval_and_repeats() -> None:
    differences = np.random.default_rng(5).normal(0.3, 1, 15)
    expected = stats.bootstrap(
        (differences,), np.mean, method="BCa", n_resamples=9_999, rng=np.random.default_rng(0)
    ).confidence_interval
    assert bootstrap_interval(differences) == pytest.approx((expected.low, expected.high), **TIGHT)


def test_there_is_no_bootstrap_below_ten_pairs() -> None:
    assert all(map(math.isnan, bootstrap_interval(np.arange(9.0))))


@pytest.mark.parametrize("n", [3, 5])
def test_null_studies_reject_at_five_percent_and_intervals_cover_at_ninety_five(n: int) -> None:
    # A correct 5 % test leaves this range with probability 1e-6.
    studies = 1_000
    rng = np.random.default_rng(17)
    base = rng.normal(34, 3, (studies, n))
    results = [paired(a, b) for a, b in zip(base + rng.normal(0, 1, base.shape), base, strict=True)]
    low, high = stats.binom.interval(1 - 1e-6, studies, 0.05)
    assert low <= sum(r.p < 0.05 for r in results) <= high
    assert low <= sum(not r.ci_low <= 0 <= r.ci_high for r in results) <= high
