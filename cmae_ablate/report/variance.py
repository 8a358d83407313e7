"""The variance that a study declares to test by: its own for each comparison, one for all, or in between.

`paired` estimates each comparison's variance from its own few differences and assumes nothing. `pooled`
takes one variance for all variants from the residuals of the seed x variant layout: many more degrees of
freedom, too narrow for a variant that is noisier than the rest. `moderated` draws each variance towards the
study's mean as if that were known with 2 degrees of freedom (the shrinkage of Smyth 2004, 'Linear models
and empirical Bayes methods for assessing differential expression', with its prior fixed instead of
estimated).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cmae_ablate.report.stats import Paired, t_interval, t_test, within

PAIRED, POOLED, MODERATED = ("paired", "pooled", "moderated")
PRIOR_DF = 2
MODERATED_FROM = 3
"""With fewer comparisons the study's mean variance is little more than the comparison's own."""


@dataclass(frozen=True)
class Prior:
    """The variance of a difference that all comparisons share, or are drawn to.

    Attributes:
        kind: `pooled` or `moderated`.
        variance: Of the difference of two variants under one seed.
        df: Degrees of freedom it was estimated with, or counts for.
        df_per_pair: How many a further seed adds to a test.
    """

    kind: str
    variance: float
    df: int
    df_per_pair: int


@dataclass(frozen=True)
class Modelled:
    """A comparison by the variance that the study declares, beside the paired t test.

    Attributes:
        kind: `pooled` or `moderated`.
        noise: The standard deviation of a difference that is used.
        df: Its degrees of freedom.
        p: Of the two-sided t test with it, unadjusted.
        ratio: The comparison's own variance over the study's: far from 1 the declared choice is doubtful.
    """

    kind: str
    noise: float
    df: int
    ci_low: float
    ci_high: float
    p: float
    ratio: float
    df_per_pair: int

    @property
    def prior_df(self) -> int:
        """Degrees of freedom that do not come from this comparison's seeds."""
        return PRIOR_DF if self.kind == MODERATED else 0


def pooled_prior(values: pd.DataFrame) -> Prior | None:
    """The common variance of a layout, one row a seed and one column a variant, NaN where a cell is missing.

    None where no degree of freedom is left.
    """
    rows, columns = np.nonzero(values.notna().to_numpy())
    seeds, variants = len(set(rows.tolist())), len(set(columns.tolist()))
    df = len(rows) - seeds - variants + 1
    if df < 1:
        return None
    y = values.to_numpy(dtype=np.float64)[rows, columns]
    layout = np.hstack([np.eye(values.shape[0])[rows], np.eye(values.shape[1])[columns]])
    fitted = layout @ np.linalg.lstsq(layout, y, rcond=None)[0]
    variance = 2 * float(np.square(y - fitted).sum()) / df
    rounding = 1e-24 * max(1.0, float(np.square(y).max()))
    return Prior(POOLED, variance, df, variants - 1) if variance > rounding else None


def moderated_prior(comparisons: Sequence[Paired]) -> Prior | None:
    """The mean variance of the study's comparisons; None where fewer than three have one."""
    variances = [c.noise**2 for c in comparisons if c.n > 1 and not math.isnan(c.noise)]
    mean = float(np.mean(variances)) if len(variances) >= MODERATED_FROM else 0.0
    return Prior(MODERATED, mean, PRIOR_DF, 1) if mean > 0 else None


def modelled(own: Paired, prior: Prior, span: float = math.inf) -> Modelled | None:
    """The comparison's mean difference tested by the declared variance; None below two pairs."""
    if own.n < 2:
        return None
    variance, df = prior.variance, prior.df
    if prior.kind == MODERATED:
        df = own.n - 1 + prior.df
        variance = (prior.df * prior.variance + (own.n - 1) * own.noise**2) / df
    error = math.sqrt(variance / own.n)
    low, high = within(t_interval(own.delta, error, df), span)
    p = t_test(own.delta, error, df)
    ratio = own.noise**2 / prior.variance
    return Modelled(prior.kind, math.sqrt(variance), df, low, high, p, ratio, prior.df_per_pair)
