"""One difference over several data sets, with data sets as a sample of their kind (random effects).

Every data set counts the same: the pooled difference is the plain mean of the data sets' mean differences,
and its interval Student's, with k - 1 degrees of freedom for k data sets. What a new data set will show is
predicted by the classical interval of one more observation, `mean +- t s sqrt(1 + 1/k)`. Both are exact where
data sets have equally many seeds and equal noise, however much or little they differ; of a new data set's
*true* difference, which has no noise of its seeds in it, the prediction is cautious. Inverse-variance weights
(DerSimonian and Laird 1986, REML, Hartung and Knapp 2001) are left alone: from three or five seeds the
variances that would weigh are noise themselves, and in simulation such intervals hold too seldom
(`analysis/simulation/pooling_rules.csv`).

How much data sets differ beyond the noise of their seeds: tau by the unweighted moment estimator (Hedges and
Olkin 1985, 'Statistical Methods for Meta-Analysis', chapter 9), I squared as its share of what is seen
between data sets (Higgins and Thompson 2002, Statistics in Medicine 21), and a test by the F of Brown and
Forsythe (1974, JASA 69), which needs no equal variances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from cmae_ablate.report.stats import ALPHA, Bounds, t_interval, t_test

FEWEST = 3
"""Data sets that a pooled claim needs."""
ROUNDING = 1e-12
"""What differences that are the same number differ by, relative to their size."""


@dataclass(frozen=True)
class Measured:
    """A contrast on one data set.

    Attributes:
        delta: Mean difference over its paired seeds.
        noise: Standard deviation of the paired differences, with n - 1; NaN below two.
        n: Number of paired seeds.
    """

    delta: float
    noise: float
    n: int

    @property
    def squared_error(self) -> float:
        """Of the mean difference; 0 where all seeds show the same one up to rounding."""
        return 0.0 if self.noise <= _rounding(self.delta) else self.noise**2 / self.n


@dataclass(frozen=True)
class RandomEffects:
    """A contrast over k data sets; NaN where nothing can be said.

    Attributes:
        k: Number of data sets.
        mean: Unweighted mean of their mean differences.
        error: Its standard error.
        interval: 95 % interval of the mean over data sets of this kind.
        prediction: In 95 % of studies holds what as many seeds on a new data set of this kind will show; of
            its true difference, more often.
        p: Of the mean being 0, two-sided; NaN, as is the prediction, where the data sets are `alike`.
        tau: Standard deviation of true differences over data sets.
        i_squared: Share of the variance between data sets that is not noise of their seeds, from 0 to 1.
        f: Variance between data sets over what the noise of their seeds explains.
        p_heterogeneity: Of all data sets having one true difference.
    """

    k: int
    mean: float = math.nan
    error: float = math.nan
    interval: Bounds = (math.nan, math.nan)
    prediction: Bounds = (math.nan, math.nan)
    p: float = math.nan
    tau: float = math.nan
    i_squared: float = math.nan
    f: float = math.nan
    p_heterogeneity: float = math.nan

    @property
    def alike(self) -> bool:
        """Every data set has the same mean difference: there is no spread to test or to predict by."""
        return self.error == 0


def pool(measured: Sequence[Measured]) -> RandomEffects:
    """Pool a contrast over the data sets on which it was measured.

    Args:
        measured: One a data set; those without a paired seed are an error of the caller.

    Returns:
        Without numbers below three data sets: two do not show how data sets differ.
    """
    k = len(measured)
    assert all(each.n > 0 for each in measured), "a data set without a paired seed says nothing"
    if k < FEWEST:
        return RandomEffects(k)
    deltas = np.array([each.delta for each in measured])
    mean, between = float(deltas.mean()), float(deltas.var(ddof=1))
    if math.sqrt(between) <= _rounding(mean):
        between = 0.0
    error = math.sqrt(between / k)
    f, p_heterogeneity, within = _between_and_within(measured, between)
    excess = max(0.0, between - within)  # NaN where the noise is unknown
    return RandomEffects(
        k=k,
        mean=mean,
        error=error,
        interval=t_interval(mean, error, k - 1),
        prediction=t_interval(mean, error * math.sqrt(k + 1), k - 1) if between > 0 else (math.nan, math.nan),
        p=t_test(mean, error, k - 1) if between > 0 else math.nan,
        tau=math.sqrt(excess) if not math.isnan(within) else math.nan,
        i_squared=excess / between if between > 0 and not math.isnan(within) else math.nan,
        f=f,
        p_heterogeneity=p_heterogeneity,
    )


def _between_and_within(measured: Sequence[Measured], between: float) -> tuple[float, float, float]:
    """F and its p, and the variance that the noise of the seeds gives mean differences; NaN where unknown."""
    if any(each.n < 2 for each in measured):
        return math.nan, math.nan, math.nan
    squares = np.array([each.squared_error for each in measured])
    within = float(squares.mean())
    if within == 0:
        return math.nan, math.nan, within
    df = float(
        squares.sum() ** 2 / sum(s**2 / (each.n - 1) for s, each in zip(squares, measured, strict=True))
    )
    f = between / within
    return f, float(special.fdtrc(len(measured) - 1, df, f)), within


def _rounding(size: float) -> float:
    return ROUNDING * max(1.0, abs(size))


def is_heterogeneous(found: RandomEffects) -> bool:
    """Whether data sets differ detectably beyond the noise of their seeds."""
    return found.p_heterogeneity < ALPHA
