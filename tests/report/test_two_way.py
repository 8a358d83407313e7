"""The interval over seeds and images, against mean squares written out as loops and simulated truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cmae_ablate.report.two_way import _welch, two_way


def crossed(rng: np.random.Generator, seeds: int, images: int, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong per seed and image: images are hard for all seeds, seeds good on all images."""
    difficulty = rng.normal(0, 1, images)
    shift = rng.normal(0, 0.8, images)
    ours = difficulty + gain + shift + rng.normal(0, 0.15, (seeds, 1)) + rng.normal(0, 1, (seeds, images)) > 0
    theirs = difficulty + rng.normal(0, 0.15, (seeds, 1)) + rng.normal(0, 1, (seeds, images)) > 0
    return ours, theirs


def mean_squares(d: np.ndarray) -> tuple[float, float, float]:
    """Of seeds (rows), images (columns) and residual, term by term."""
    seeds, images = d.shape
    mean = sum(d[s, i] for s in range(seeds) for i in range(images)) / (seeds * images)
    by_seed = [sum(d[s, i] for i in range(images)) / images for s in range(seeds)]
    by_image = [sum(d[s, i] for s in range(seeds)) / seeds for i in range(images)]
    of_seeds = images * sum((m - mean) ** 2 for m in by_seed) / (seeds - 1)
    of_images = seeds * sum((m - mean) ** 2 for m in by_image) / (images - 1)
    rest = sum(
        (d[s, i] - by_seed[s] - by_image[i] + mean) ** 2 for s in range(seeds) for i in range(images)
    ) / ((seeds - 1) * (images - 1))
    return of_seeds, of_images, rest


def expected_interval(d: np.ndarray) -> tuple[float, float]:
    """`delta` and half-width where seeds are fewer than images and both differ: Welch's series."""
    seeds, images = d.shape
    of_seeds, of_images, rest = mean_squares(d)
    assert of_images > rest
    a, b = of_seeds / (seeds * images), (of_images - rest) / (seeds * images)
    f, g = seeds - 1, images - 1
    z = 1.959963984540054
    one = (a**2 / f + b**2 / g) / (a + b) ** 2
    two = (a**2 / f**2 + b**2 / g**2) / (a + b) ** 2
    three = (a**3 / f**2 + b**3 / g**2) / (a + b) ** 3
    series = 1 + (1 + z**2) / 4 * one - (1 + z**2) / 2 * two + (3 + 5 * z**2 + z**4) / 3 * three
    series -= (15 + 32 * z**2 + 9 * z**4) / 32 * one**2
    half = z * series * math.sqrt(a + b)
    plain = [stats.t.ppf(0.975, df) * math.sqrt(part) for df, part in ((f, a), (g, b))]
    return float(d.mean()), max(half, *plain)


def test_the_difference_is_the_mean_over_seeds_and_images() -> None:
    ours, theirs = crossed(np.random.default_rng(0), 4, 300, 0.2)
    expected = 100 * (ours.mean() - theirs.mean())
    assert two_way(list(ours), list(theirs)).delta == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seeds", [3, 6])
def test_the_interval_is_that_of_the_crossed_mean_squares(seeds: int) -> None:
    ours, theirs = crossed(np.random.default_rng(8), seeds, 60, 0.1)
    delta, half = expected_interval(100.0 * (ours.astype(float) - theirs))
    found = two_way(list(ours), list(theirs))
    assert (found.ci_low, found.ci_high) == pytest.approx((delta - half, delta + half), rel=1e-9)
    assert found.clusters == 60
    assert seeds - 1 <= found.df


def test_equal_clusters_are_crossed_as_images_are() -> None:
    rng = np.random.default_rng(9)
    clusters = np.arange(120) % 12
    chance = rng.random(12)[clusters]
    ours = rng.random((5, 120)) < chance + rng.normal(0, 0.1, (5, 1))
    theirs = rng.random((5, 120)) < 0.5
    differences = 100.0 * (ours.astype(float) - theirs)
    means = np.stack([differences[:, clusters == c].mean(axis=1) for c in range(12)], axis=1)
    delta, half = expected_interval(means)
    found = two_way(list(ours), list(theirs), clusters)
    assert (found.ci_low, found.ci_high) == pytest.approx((delta - half, delta + half), rel=1e-9)
    assert found.clusters == 12


def test_it_is_never_narrower_than_the_t_interval_over_seeds() -> None:
    # Five seeds, each right on so many of the same 60 images; every image's neighbour differs alike.
    right = [30, 36, 33, 39, 27]
    ours = [np.arange(60) < count for count in right]
    theirs = [np.zeros(60, dtype=bool)] * 5
    differences = 100 * np.array(right) / 60
    half = stats.t.ppf(0.975, 4) * differences.std(ddof=1) / math.sqrt(5)
    for clusters in (None, np.arange(60) // 15):
        found = two_way(ours, theirs, clusters)
        assert found.ci_high - found.ci_low >= 2 * half - 1e-9


def test_fewer_clusters_than_seeds_are_never_taken_for_less_than_they_differ() -> None:
    # 4 clusters, 9 seeds: the clusters' mean square, which has 3 degrees of freedom, is taken whole.
    rng = np.random.default_rng(1)
    clusters = np.arange(80) % 4
    ours = rng.random((9, 80)) < np.array([0.4, 0.45, 0.5, 0.65])[clusters]
    theirs = rng.random((9, 80)) < 0.5
    found = two_way(list(ours), list(theirs), clusters)
    of_clusters = [100 * (ours - theirs.astype(float))[:, clusters == c].mean() for c in range(4)]
    half = stats.t.ppf(0.975, 3) * np.std(of_clusters, ddof=1) / 2
    assert (found.ci_high - found.ci_low) / 2 >= half * (1 - 1e-9)


@pytest.mark.parametrize("df", [12.0, 40.0])
def test_of_one_variance_it_is_the_expansion_of_students_quantile(df: float) -> None:
    # Abramowitz and Stegun 1964, 26.7.5, to the second term.
    z = 1.959963984540054
    expected = z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    assert _welch([(df, 1.0)]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_of_two_variances_it_holds_the_mean_in_95_percent(share: float) -> None:
    # Over both chi-square variances by quadrature, given which the mean is normal.
    even = (np.arange(80) + 0.5) / 80
    first = share * stats.chi2.ppf(even, 8)[:, None] / 8
    second = (1 - share) * stats.chi2.ppf(even, 20)[None, :] / 20
    reach = np.vectorize(lambda a, b: _welch([(8, a / (a + b)), (20, b / (a + b))]) * math.sqrt(a + b))
    assert (2 * stats.norm.cdf(reach(first, second)) - 1).mean() == pytest.approx(0.95, abs=0.002)


def test_names_of_clusters_do_not_matter_and_single_images_are_clusters_too() -> None:
    ours, theirs = crossed(np.random.default_rng(3), 4, 40, 0.1)
    alone = two_way(list(ours), list(theirs))
    named = two_way(list(ours), list(theirs), 1_000 - 7 * np.arange(40))
    assert (named.ci_low, named.ci_high) == pytest.approx((alone.ci_low, alone.ci_high), rel=1e-9)


def test_two_clusters_are_too_few_and_single_images_are_the_sample() -> None:
    ours, theirs = crossed(np.random.default_rng(3), 4, 40, 0.1)
    assert two_way(list(ours), list(theirs), np.arange(40) % 2) == two_way(list(ours), list(theirs))


def test_no_variance_is_negative_where_nothing_but_chance_differs() -> None:
    # Every seed right on as many images, every image right under as many seeds: both mean squares are 0.
    ours = np.eye(6, dtype=bool)
    theirs = np.roll(np.eye(6, dtype=bool), 1, axis=1)
    result = two_way(list(ours), list(theirs))
    assert result.ci_low < 0 < result.ci_high
    assert result.df == pytest.approx(25)


def test_equal_predictions_have_an_interval_without_width() -> None:
    same = [np.array([True, False, True])] * 3
    result = two_way(same, same)
    assert (result.delta, result.ci_low, result.ci_high) == (0.0, 0.0, 0.0)


def test_the_interval_stays_within_what_is_possible() -> None:
    ours = [np.array([True, True, True, False]), np.array([False, False, False, False])]
    theirs = [np.array([False, False, False, True])] * 2
    result = two_way(ours, theirs)
    assert (result.ci_low, result.ci_high) == (-100.0, 100.0)


@pytest.mark.parametrize("seeds", [3, 5])
def test_it_covers_new_seeds_and_new_images_as_often_as_it_says(seeds: int) -> None:
    # Population difference 0 by symmetry; with other random numbers 95 % leaves this range in 1 of 100.
    # 2,000 studies a cell, clusters too, are in analysis/simulation.
    rng = np.random.default_rng(2)
    studies = 600
    covered = 0
    for _ in range(studies):
        ours, theirs = crossed(rng, seeds, 120, 0.0)
        result = two_way(list(ours), list(theirs))
        covered += result.ci_low <= 0 <= result.ci_high
    low, high = stats.binom.interval(0.99, studies, 0.95)
    assert low <= covered <= high


def test_one_seed_has_no_interval() -> None:
    result = two_way([np.array([True, False])], [np.array([False, False])])
    assert result.delta == 50.0
    assert math.isnan(result.ci_low)


def test_one_image_has_no_interval() -> None:
    assert math.isnan(two_way([np.array([True])] * 2, [np.array([False])] * 2).ci_low)


def test_predictions_on_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        two_way([np.ones(3, dtype=bool)], [np.ones(4, dtype=bool)])
    with pytest.raises(ValueError, match="same images"):
        two_way([np.ones(3, dtype=bool)], [np.ones(3, dtype=bool)], np.zeros(4, dtype=np.int64))
