"""Paired statistics of one comparison, and Holm's correction of several.

A comparison's `values` and `against` are two arrays of equal length n: the metric of two variants under the
same n seeds, (n,) float64. Where the libraries cannot compute a number it is NaN, and NaN is kept: with one
pair there is no interval, and two variants with identical numbers have a difference of 0 in [0, 0] and no p.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Values = npt.NDArray[np.float64]
Bounds = tuple[float, float]
CONFIDENCE = 0.95
ALPHA = 0.05
BOOTSTRAP_FROM = 10
"""Below ten pairs bootstrap intervals cover far less than they say (75 % at n = 3)."""


@dataclass(frozen=True)
class Paired:
    """A paired comparison; the interval is the two-sided 95 % t interval, cut where no difference can be.

    Attributes:
        n: Number of pairs.
        mean: Mean of `values`.
        std: Their standard deviation, with n - 1.
        delta: Mean of `values - against`.
        noise: Standard deviation of the differences, with n - 1.
        p: Of the two-sided paired t test. As in scipy NaN where the differences are all 0, and 0 where they
            are all the same other number; `noiseless` tells these cases, where nothing is tested.
        dz: `delta / noise`, Cohen's d of difference scores (Lakens 2013).
    """

    n: int
    mean: float
    std: float
    delta: float
    noise: float
    ci_low: float
    ci_high: float
    p: float
    dz: float

    @property
    def noiseless(self) -> bool:
        """Every pair differs by the same number up to rounding: no test of a mean is possible."""
        return self.n > 1 and self.noise <= 1e-12 * max(1.0, abs(self.mean), abs(self.delta))

    @property
    def tested_p(self) -> float:
        """`p`; NaN where no noise is left to test by."""
        return math.nan if self.noiseless else self.p


def paired(values: Values, against: Values, span: float = math.inf) -> Paired:
    """Compare two variants seed by seed. Empty arrays and single pairs give NaN where nothing can be said.

    Args:
        values: One variant's metric, (n,).
        against: The other's under the same seeds, (n,).
        span: The metric's highest possible value minus its lowest; the interval is cut with `within`.
    """
    n = len(values)
    if n == 0:
        return Paired(0, *[math.nan] * 8)
    differences = values - against
    mean, delta = float(np.mean(values)), float(np.mean(differences))
    if n == 1:
        return Paired(1, mean, math.nan, delta, *[math.nan] * 5)
    noise = float(np.std(differences, ddof=1))
    error = noise / math.sqrt(n)
    low, high = within(t_interval(delta, error, n - 1), span)
    return Paired(
        n=n,
        mean=mean,
        std=float(np.std(values, ddof=1)),
        delta=delta,
        noise=noise,
        ci_low=low,
        ci_high=high,
        p=t_test(delta, error, n - 1),
        dz=float(_ratio(delta, noise)),
    )


def within(interval: Bounds, span: float) -> Bounds:
    """An interval of a mean difference without what no difference can be: accuracies are at most 100 apart.

    Nothing more is cut away. That a variant at 0 cannot be further below a reference read at 30 would take
    that reading for the reference's true mean, and such an interval of three seeds holds it half of the time.
    """
    return max(interval[0], -span), min(interval[1], span)


def t_interval(delta: float, error: float, df: float, level: float = ALPHA) -> Bounds:
    """`delta` plus and minus the two-sided t quantile of `df` times its standard error."""
    reach = float(special.stdtrit(df, 1 - level / 2)) * error
    return delta - reach, delta + reach


def t_test(delta: float, error: float, df: float) -> float:
    """Two-sided p of a mean difference; NaN where there is neither a difference nor an error."""
    return float(2 * special.stdtr(df, -abs(_ratio(delta, error))))


def t_below(t: float, df: float) -> float:
    """The chance that Student's t with `df` degrees of freedom is below `t`."""
    return float(special.stdtr(df, t))


def _ratio(delta: float, spread: float) -> np.float64:
    with np.errstate(all="ignore"):
        return np.float64(delta) / np.float64(spread)


def holm(p_values: Sequence[float], joint: Sequence[float] | None = None) -> list[float]:
    """Holm-adjusted p values of one family.

    A comparison without a p stays in the family, so that a missing cell never makes the others look better.

    Args:
        p_values: Unadjusted, of all of them.
        joint: Each one's p adjusted over the whole family in one step, by what is known of it beyond its
            size. None is adjusted to more than that: an error still needs a true null hypothesis, of m of
            them, with a p below 5 % over m or a joint one below 5 %.
    """
    known = [1.0 if math.isnan(p) else p for p in p_values]
    most = [1.0] * len(known) if joint is None else [1.0 if math.isnan(p) else p for p in joint]
    adjusted, largest = [math.nan] * len(known), 0.0
    for rank, index in enumerate(sorted(range(len(known)), key=lambda i: (most[i], known[i]))):
        largest = max(largest, min(most[index], (len(known) - rank) * known[index]))
        adjusted[index] = math.nan if math.isnan(p_values[index]) else largest
    return adjusted


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided t tests against plus and minus `margin`.

    Attributes:
        p: Of equivalence: the larger of the two.
        p_no_worse: Of the difference being above -`margin` (for metrics where higher is better).
        p_no_better: Of the difference being below `margin`.
    """

    p: float
    p_no_worse: float
    p_no_better: float


def equivalence(values: Values, against: Values, margin: float) -> Equivalence:
    """TOST on paired values (Schuirmann 1987); NaN below two pairs."""
    if len(values) < 2:
        return Equivalence(math.nan, math.nan, math.nan)
    from statsmodels.stats.weightstats import ttost_paired  # a second, for studies that ask for it

    with quietly():
        p, lower, upper = ttost_paired(values, against, -margin, margin)
    return Equivalence(float(p), float(lower[1]), float(upper[1]))


def bootstrap_interval(differences: Values) -> tuple[float, float]:
    """95 % BCa bootstrap interval of the mean difference; NaN below ten pairs or without any noise.

    The resampling is seeded, so that the same table always gives the same report.
    """
    if len(differences) < BOOTSTRAP_FROM or np.ptp(differences) == 0:
        return math.nan, math.nan
    from scipy import stats  # most of a second

    with quietly():
        result = stats.bootstrap(
            (differences,),
            np.mean,
            confidence_level=CONFIDENCE,
            method="BCa",
            n_resamples=9_999,
            vectorized=True,
            rng=np.random.default_rng(0),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


@contextmanager
def quietly() -> Iterator[None]:
    """Data without noise make the libraries warn; the report says it in words instead."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
