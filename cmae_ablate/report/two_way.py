"""Seeds are one sample, test images another: an interval that speaks of both.

With few test images the t interval over seeds is too narrow as a statement about new images. Seeds and images
are crossed (every seed's network sees every image). Their mean squares add up to the variance of the mean
difference, `(MS_seed + MS_image - MS_residual) / (seeds x images)` (Searle, Casella and McCulloch 1992,
'Variance Components'): two independent parts, one of them with few degrees of freedom, as in the comparison
of two means whose variances differ. Welch's series says how far such an interval reaches (Welch 1947, 'The
generalization of "Student's" problem when several different population variances are involved', Biometrika
34). Images of one class or one place are alike, so that whole clusters of images are the sample where the
clusters are known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import numpy.typing as npt
from scipy import special

from cmae_ablate.report.stats import CONFIDENCE, within

Hits = npt.NDArray[np.bool_]
FEWEST_CLUSTERS = 3
"""Fewer cannot show how much clusters differ: then single images are the sample."""


@dataclass(frozen=True)
class TwoWay:
    """Mean difference in percent over seeds and images, with its 95 % interval.

    Attributes:
        df: Degrees of freedom of a t interval as wide; NaN without an interval.
        clusters: How many clusters of images were the sample; the number of images where none are known.
    """

    delta: float
    ci_low: float
    ci_high: float
    df: float = math.nan
    clusters: int = 0


def two_way(
    correct: Sequence[Hits], against: Sequence[Hits], clusters: npt.NDArray[np.integer] | None = None
) -> TwoWay:
    """Compare per-image correctness of two variants.

    Args:
        correct: One array a seed, (num_images,), the same images in the same order everywhere.
        against: The other variant's, the same seeds in the same order.
        clusters: What each image belongs to, (num_images,), where images of a kind are alike.

    Returns:
        Percentages; NaN where there is no interval (fewer than two seeds or images).

    Raises:
        ValueError: The arrays' lengths differ.
    """
    lengths = {len(a) for a in (*correct, *against)} | ({len(clusters)} if clusters is not None else set())
    if len(lengths) > 1 or len(correct) != len(against):
        raise ValueError("per-image predictions of one comparison must cover the same images and seeds")
    seeds = len(correct)
    if seeds == 0 or len(correct[0]) == 0:
        return TwoWay(math.nan, math.nan, math.nan)
    # S seeds, I images; values -100, 0, 100
    differences = 100.0 * (np.stack(correct).astype(np.float64) - np.stack(against))
    delta = float(differences.mean())
    sums, sizes = _by_cluster(differences, clusters)
    if seeds == 1 or len(sizes) < 2:
        return TwoWay(delta, math.nan, math.nan)
    reach, df = _reach(*_mean_squares(sums, sizes), seeds)
    low, high = within((delta - reach, delta + reach), 100.0)
    return TwoWay(delta, low, high, df, len(sizes))


def _by_cluster(
    differences: npt.NDArray[np.float64], clusters: npt.NDArray[np.integer] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sums of the differences, (S, G), and sizes, (G,), of G clusters; of single images below three."""
    images = differences.shape[1]
    if clusters is None or len(found := np.unique(clusters, return_inverse=True)[0]) < FEWEST_CLUSTERS:
        return differences, np.ones(images)
    member = np.searchsorted(found, clusters)
    sums = np.stack([np.bincount(member, weights=row, minlength=len(found)) for row in differences])
    return sums.astype(np.float64), np.bincount(member, minlength=len(found)).astype(np.float64)


def _mean_squares(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """The mean squares of seeds, clusters and residual over S x G, and the clusters' degrees of freedom.

    Clusters of unequal size weigh as many images as they have: their mean square is of deviations from what a
    cluster of that size would give, scaled to be unbiased where cluster means vary alike, and their degrees
    of freedom are those of as many equal ones as have the same sum of squared weights.
    """
    seeds, images = len(sums), sizes.sum()
    weights = sizes / images
    squared = float(np.square(weights).sum())
    unbiased = squared / (squared - 2 * float((weights**3).sum()) + squared**2)
    by_seed = sums.sum(axis=1) / images  # (S,)
    by_cluster = sums.mean(axis=0) / images  # (G,), their sum is the mean difference
    mean = by_seed.mean()
    residual = sums / images - by_cluster - weights * (by_seed - mean)[:, None]
    of_seeds = float(by_seed.var(ddof=1)) / seeds
    of_clusters = float(np.square(by_cluster - weights * mean).sum()) * unbiased
    of_residual = float(np.square(residual).sum()) * unbiased / (seeds * (seeds - 1))
    return of_seeds, of_clusters, of_residual, 1 / squared - 1


def _reach(
    seed: float, cluster: float, residual: float, clusters_df: float, seeds: int
) -> tuple[float, float]:
    """Half the interval's width, and the degrees of freedom of a t interval as wide.

    The mean square with fewer degrees of freedom is taken whole, as a t interval takes it; the other adds
    what it has beyond the residual, and nothing where chance left it below. Welch's series is too short
    where few degrees of freedom make up nearly all of the variance, so the interval is never narrower than
    the t interval of either part, nor than that over the seeds. `analysis/simulation/two_way_rules.py` sets
    it against other rules.
    """
    fewer, more = sorted(((seeds - 1.0, seed), (clusters_df, cluster)), key=itemgetter(0))
    parts = [fewer, (more[0], max(more[1] - residual, 0.0))]
    variance = sum(part for _, part in parts)
    if variance == 0:  # means that chance made equal: the residual is all that was seen to vary
        parts, variance = [((seeds - 1) * clusters_df, residual)], residual
    if variance == 0:
        return 0.0, seeds - 1.0
    own = [_quantile(df) * math.sqrt(part) for df, part in (*parts, (seeds - 1.0, seed))]
    reach = max(_welch([(df, part / variance) for df, part in parts]) * math.sqrt(variance), *own)
    return reach, float(special.stdtridf((1 + CONFIDENCE) / 2, reach / math.sqrt(variance)))


def _welch(parts: Sequence[tuple[float, float]]) -> float:
    """How many standard deviations an interval reaches whose variance is estimated in independent parts.

    Args:
        parts: Degrees of freedom and share of the variance of each; the shares add up to 1.

    Returns:
        Welch's series to the inverse square of the degrees of freedom.
    """

    def total(power: int, over: int) -> float:
        return sum(share**power / df**over for df, share in parts)

    z = float(special.ndtri((1 + CONFIDENCE) / 2))
    first = (1 + z**2) / 4 * total(2, 1)
    second = (
        -(1 + z**2) / 2 * total(2, 2)
        + (3 + 5 * z**2 + z**4) / 3 * total(3, 2)
        - (15 + 32 * z**2 + 9 * z**4) / 32 * total(2, 1) ** 2
    )
    return z * (1 + first + second)


def _quantile(df: float) -> float:
    return float(special.stdtrit(df, (1 + CONFIDENCE) / 2))
