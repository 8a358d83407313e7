"""Many variants against one reference under a common variance: Dunnett's test and its step-down form.

The k statistics share the reference's mean and the estimated deviation, so that they are correlated by 1/2
and less than Bonferroni's bound is needed (Dunnett 1955, 'A multiple comparison procedure for comparing
several treatments with a control'; stepwise: Dunnett and Tamhane 1991). Two-sided, equal numbers of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from cmae_ablate.report.stats import ALPHA

NODES = 96
FARTHEST = 9.0
"""Standard deviations of the reference's mean that are integrated over."""


def exceeded(statistic: float, comparisons: int, df: float) -> float:
    """P(largest of `comparisons` absolute statistics > `statistic`) where nothing differs.

    Args:
        statistic: Above or equal to 0.
        comparisons: Number of variants beside the reference, at least 1.
        df: Degrees of freedom of the common variance, above 0.
    """
    nodes, weights = special.roots_legendre(NODES)
    reference = FARTHEST * nodes[:, None]  # the reference's mean, in standard errors
    density = FARTHEST * weights * np.exp(-np.square(FARTHEST * nodes) / 2) / math.sqrt(2 * math.pi)
    # The estimated deviation over the true one, at quantiles of its distribution.
    shares = np.sqrt(2 * special.gammaincinv(df / 2, (nodes + 1) / 2) / df)
    reach = math.sqrt(2) * statistic * shares[None, :]
    inside = special.ndtr(reference + reach) - special.ndtr(reference - reach)
    return float(np.clip(1 - density @ inside**comparisons @ (weights / 2), 0.0, 1.0))


@lru_cache(maxsize=256)
def critical_value(comparisons: int, df: float) -> float:
    """The absolute statistic that the largest of `comparisons` exceeds in 5 % of null studies."""
    return float(optimize.brentq(lambda t: exceeded(t, comparisons, df) - ALPHA, 0.0, 1e3, xtol=1e-9))


def step_down(statistics: Sequence[float], df: float) -> list[float]:
    """Adjusted p values, as Holm's are built: the largest statistic against all, the next against the rest.

    A NaN, a comparison without its cells, stays in the family and comes last.
    """
    order = sorted(
        range(len(statistics)),
        key=lambda i: -abs(statistics[i]) if not math.isnan(statistics[i]) else math.inf,
    )
    adjusted, largest = [math.nan] * len(statistics), 0.0
    for rank, index in enumerate(order):
        if not math.isnan(statistics[index]):
            largest = max(largest, exceeded(abs(statistics[index]), len(statistics) - rank, df))
            adjusted[index] = largest
    return adjusted
