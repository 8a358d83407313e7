"""The statistics against published numbers, arithmetic written out, and libraries the code does not call."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cmae_ablate.report.stats import bootstrap_interval, equivalence, holm, paired, within

TIGHT = {"rel": 1e-9, "abs": 1e-9}


def pair(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    base = rng.normal(34, 2, n)
    return base + rng.normal(0.5, 1, n), base


# Student 1908, 'The probable error of a mean': hours of sleep gained by ten patients on two drugs. The
# results are those that R prints for `t.test(extra ~ group, data = sleep, paired = TRUE)`.
DEXTRO = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
LAEVO = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_students_sleep_data_give_the_published_t_test() -> None:
    result = paired(DEXTRO, LAEVO)
    assert (result.n, result.delta) == (10, pytest.approx(-1.58))
    assert result.p == pytest.approx(0.002833, abs=5e-7)
    assert (result.ci_low, result.ci_high) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert result.dz * math.sqrt(10) == pytest.approx(-4.0621, abs=5e-5)


def test_two_degrees_of_freedom_have_a_t_test_in_closed_form() -> None:
    # P(|T| > t) = 1 - t / sqrt(t^2 + 2). Differences 1, 2, 3: t = 2 / (1 / sqrt(3)).
    result = paired(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    t, quantile = 2 * math.sqrt(3), 0.95 * math.sqrt(2 / (1 - 0.95**2))
    assert result.p == pytest.approx(1 - t / math.sqrt(t * t + 2), rel=1e-12)
    assert (result.ci_low, result.ci_high) == pytest.approx(
        (2 - quantile / math.sqrt(3), 2 + quantile / math.sqrt(3)), rel=1e-12
    )


def test_holm_multiplies_by_how_many_are_left() -> None:
    # Sorted: 4 * 0.005, 3 * 0.01, 2 * 0.03, then 0.04, which may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_adjusts_no_p_to_more_than_its_joint_one() -> None:
    # 4 * 0.005 is more than 0.015, 3 * 0.01 less than 0.035; 2 * 0.03 is more than 0.055; 0.04 then may not
    # fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005], [0.035, 0.07, 0.055, 0.015]) == pytest.approx(
        [0.03, 0.055, 0.055, 0.015], rel=1e-12
    )
    # A p whose joint one is small comes first, however small another is: what alone is below 5 % stays so.
    assert holm([0.02, 0.019], [0.03, 0.06]) == pytest.approx([0.03, 0.03], rel=1e-12)
    assert math.isnan(holm([math.nan, 0.01], [math.nan, 0.015])[0])


def test_equivalence_by_hand() -> None:
    # Differences 1, 2, 3 and a margin of 4: t = (2 + 4) sqrt(3) and (2 - 4) sqrt(3), two degrees of freedom,
    # one-sided P(T > t) = (1 - t / sqrt(t^2 + 2)) / 2.
    result = equivalence(np.array([1.0, 2.0, 3.0]), np.zeros(3), 4.0)
    above, below = 6 * math.sqrt(3), 2 * math.sqrt(3)
    p_above, p_below = ((1 - t / math.sqrt(t * t + 2)) / 2 for t in (above, below))
    assert result.p_no_worse == pytest.approx(p_above, rel=1e-9)
    assert result.p_no_better == pytest.approx(p_below, rel=1e-9)
    assert result.p == pytest.approx(0.037089, abs=5e-6)


def test_no_statistic_needs_a_library_of_another_licence() -> None:
    paired(LAEVO, DEXTRO)
    assert "pingouin" not in sys.modules
    assert "pingouin" not in Path("pyproject.toml").read_text()


def test_an_interval_is_cut_to_what_a_difference_can_be() -> None:
    assert within((-90.0, 110.0), 100.0) == (-90.0, 100.0)
    assert within((-127.0, 7.0), 100.0) == (-100.0, 7.0)
    assert within((-math.inf, math.inf), math.inf) == (-math.inf, math.inf)


def test_an_interval_of_a_collapsed_variant_covers_as_often_as_it_says() -> None:
    # Nothing is below 0, but the reference's mean is as uncertain as ever: cut at its reading, the
    # interval of three seeds holds the true difference half of the time.
    rng, studies, true = np.random.default_rng(0), 400, 30.0
    found = [paired(np.zeros(3), rng.normal(true, 1.0, 3), 100.0) for _ in range(studies)]
    covered = sum(each.ci_low <= -true <= each.ci_high for each in found)
    low, high = stats.binom.interval(0.99, studies, 0.95)
    assert low <= covered <= high


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
    # A correct 5 % test leaves this range with other random numbers in 1 of 100: 0.042 to 0.059.
    studies = 4_000
    rng = np.random.default_rng(17)
    base = rng.normal(34, 3, (studies, n))
    results = [paired(a, b) for a, b in zip(base + rng.normal(0, 1, base.shape), base, strict=True)]
    low, high = stats.binom.interval(0.99, studies, 0.05)
    assert low <= sum(r.p < 0.05 for r in results) <= high
    assert low <= sum(not r.ci_low <= 0 <= r.ci_high for r in results) <= high
