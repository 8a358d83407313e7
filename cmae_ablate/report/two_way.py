"""Seeds are one sample, test images another: an interval that resamples both.

With few test images the t interval over seeds is too narrow as a statement about new images. Seeds and
images are crossed (every seed's network sees every image), so both are resampled independently and a cell is
weighted with the product: the pigeonhole bootstrap (Owen 2007, arXiv 0712.1111), which errs towards too wide.
The spread of the replicates becomes an interval with the t quantile of the seeds, because percentiles of few
seeds cover far too little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from cmae_ablate.report.stats import CONFIDENCE

Counts = npt.NDArray[np.uint16]
REPLICATES = 2_000
BLOCK = 250
"""Replicates weighted at once: 250 x 10,000 images are 10 MB."""


@dataclass(frozen=True)
class TwoWay:
    """Mean difference in percent over seeds and images, with its 95 % interval."""

    delta: float
    ci_low: float
    ci_high: float


def two_way(correct: Sequence[npt.NDArray[np.bool_]], against: Sequence[npt.NDArray[np.bool_]]) -> TwoWay:
    """Compare per-image correctness of two variants.

    Args:
        correct: One array a seed, (num_images,), the same images in the same order everywhere.
        against: The other variant's, the same seeds in the same order.

    Returns:
        Percentages; an interval without width information (fewer than two seeds) is NaN.

    Raises:
        ValueError: The arrays' lengths differ.
    """
    if len({len(a) for a in (*correct, *against)}) > 1 or len(correct) != len(against):
        raise ValueError("per-image predictions of one comparison must cover the same images and seeds")
    seeds = len(correct)
    if seeds == 0 or len(correct[0]) == 0:
        return TwoWay(math.nan, math.nan, math.nan)
    # S seeds, I images; values -100, 0, 100
    differences = 100.0 * (np.stack(correct).astype(np.float64) - np.stack(against))
    delta = float(differences.mean())
    if seeds == 1:
        return TwoWay(delta, math.nan, math.nan)
    # A bootstrap of S seeds has (S - 1) / S of their variance.
    error = _replicates(differences).std(ddof=1) * math.sqrt(seeds / (seeds - 1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * error)
    return TwoWay(delta, delta - reach, delta + reach)


def _replicates(differences: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Resampled mean differences, (REPLICATES,), from (S, I); seeded, so that reports repeat."""
    seeds, images = differences.shape
    # Sums of whole hundreds below 2^24: exact in float32.
    values = differences.T.astype(np.float32)
    means = []
    for of_images, of_seeds in _resamples(seeds, images):
        by_seed = (of_images.astype(np.float32) @ values).astype(np.float64) / images  # (BLOCK, S)
        means.append((of_seeds * by_seed).sum(axis=1) / seeds)
    return np.concatenate(means)


@lru_cache(maxsize=2)
def _resamples(seeds: int, images: int) -> tuple[tuple[Counts, Counts], ...]:
    """How often each image and each seed is drawn, in blocks: the same for every pair of variants."""
    rng = np.random.default_rng(0)
    return tuple((_counts(rng, images), _counts(rng, seeds)) for _ in range(REPLICATES // BLOCK))


def _counts(rng: np.random.Generator, size: int) -> Counts:
    """How often each of `size` things is drawn in `size` draws with replacement, (BLOCK, size)."""
    drawn = rng.integers(size, size=(BLOCK, size)) + size * np.arange(BLOCK)[:, None]
    return np.bincount(drawn.ravel(), minlength=BLOCK * size).reshape(BLOCK, size).astype(np.uint16)
