"""The interval over seeds and images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cmae_ablate.report.two_way import two_way


def crossed(rng: np.random.Generator, seeds: int, images: int, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong per seed and image: images are hard for all seeds, seeds good on all images."""
    difficulty = rng.normal(0, 1, images)
    shift = rng.normal(0, 0.8, images)
    ours = difficulty + gain + shift + rng.normal(0, 0.15, (seeds, 1)) + rng.normal(0, 1, (seeds, images)) > 0
    theirs = difficulty + rng.normal(0, 0.15, (seeds, 1)) + rng.normal(0, 1, (seeds, images)) > 0
    return ours, theirs


def test_the_difference_is_the_mean_over_seeds_and_images() -> None:
    ours, theirs = crossed(np.random.default_rng(0), 4, 300, 0.2)
    expected = 100 * (ours.mean() - theirs.mean())
    assert two_way(list(ours), list(theirs)).delta == pytest.approx(expected, abs=1e-9)


def test_it_is_wider_than_the_interval_over_seeds_where_images_are_few() -> None:
    ours, theirs = crossed(np.random.default_rng(1), 5, 100, 0.1)
    seeds_only = stats.ttest_rel(100 * ours.mean(axis=1), 100 * theirs.mean(axis=1)).confidence_interval()
    both = two_way(list(ours), list(theirs))
    assert both.ci_high - both.ci_low > seeds_only.high - seeds_only.low


def test_it_covers_new_seeds_and_new_images_at_least_as_often_as_it_says() -> None:
    # Population difference 0 by symmetry; a 95 % interval covers fewer than this with probability 1e-4.
    rng = np.random.default_rng(2)
    studies = 60
    covered = 0
    for _ in range(studies):
        ours, theirs = crossed(rng, 3, 120, 0.0)
        result = two_way(list(ours), list(theirs))
        covered += result.ci_low <= 0 <= result.ci_high
    assert covered >= stats.binom.ppf(1e-4, studies, 0.95)


def test_one_seed_has_no_interval() -> None:
    result = two_way([np.array([True, False])], [np.array([False, False])])
    assert result.delta == 50.0
    assert math.isnan(result.ci_low)


def test_predictions_on_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        two_way([np.ones(3, dtype=bool)], [np.ones(4, dtype=bool)])
