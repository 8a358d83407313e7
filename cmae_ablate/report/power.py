"""How many paired seeds a difference needs, so that 'inconclusive' never stands alone.

Planned is at the level that the verdict needs: Holm's first step, 5 % over the number of declared
comparisons. That is the most demanding step, and a comparison is detected least often where no other
differs (Holm can only get easier when others are rejected); so what is planned here holds whatever the
others are.

The standard deviation of the differences is an estimate from few seeds. Reading it as the truth plans too
few. The power here is therefore averaged over what the true deviation may be, given the one seen (Julious
and Owen 2006, 'Sample size calculations for clinical studies allowing for uncertainty about the variance'):
over many studies that follow the advice, the stated share detects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from cmae_ablate.report.stats import ALPHA, CONFIDENCE

POWER = 0.8
MOST_PAIRS = 100_000
NODES = 32
"""Quadrature nodes over the deviation's distribution: 200 give the same numbers of pairs."""


@dataclass(frozen=True)
class Planning:
    """What is known for planning one comparison.

    Attributes:
        noise: Standard deviation of the paired differences, as estimated.
        pairs: How many pairs it was estimated from.
        comparisons: Size of Holm's family, at least 1.
        df_per_pair: Degrees of freedom that a further seed adds: 1 for paired differences alone, variants
            minus 1 where all variants share one variance.
        prior_df: Degrees of freedom lent by the study's other comparisons.
    """

    noise: float
    pairs: int
    comparisons: int = 1
    df_per_pair: int = 1
    prior_df: int = 0

    @property
    def known(self) -> bool:
        """Whether there is any noise to plan with."""
        return self.pairs > 1 and math.isfinite(self.noise) and self.noise > 0

    def df(self, pairs: int) -> int:
        """Degrees of freedom of the test with that many pairs."""
        return self.df_per_pair * (pairs - 1) + self.prior_df


def power_of(size: float, planning: Planning, pairs: int, *, noise_known: bool = False) -> float:
    """Chance of detecting one true mean difference, two-sided, at Holm's first step.

    Args:
        size: True mean difference, not 0.
        planning: With known noise.
        pairs: Paired seeds of the study that is planned, at least 2.
        noise_known: Take the estimated noise as the truth.

    Returns:
        In [0, 1], rising with `size` and with `pairs`; never NaN.
    """
    factors = np.ones(1) if noise_known else _deviations(planning.df(planning.pairs))
    ratios = math.sqrt(pairs) * abs(size) / planning.noise / factors
    weights = np.ones(1) if noise_known else _quadrature()[1]
    detected = _power(ratios, planning.df(pairs), ALPHA / planning.comparisons)
    return float(weights @ detected)


def required_pairs(size: float, planning: Planning) -> float:
    """Fewest paired seeds, the present ones included, that detect `size` with 80 % power.

    Returns:
        A whole number; inf above 100,000; NaN without known noise or size.
    """
    return _fewest(size, planning, noise_known=False)


def required_pairs_interval(size: float, planning: Planning) -> tuple[float, float]:
    """The same for the ends of the noise's own 95 % interval (chi-square), each taken as the truth."""
    if not planning.known:
        return math.nan, math.nan
    df = planning.df(planning.pairs)
    tails = (1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2
    ends = (planning.noise * math.sqrt(df / (2 * special.gammaincinv(df / 2, tail))) for tail in tails)
    low, high = (
        _fewest(
            size,
            Planning(end, planning.pairs, planning.comparisons, planning.df_per_pair, planning.prior_df),
            noise_known=True,
        )
        for end in ends
    )
    return low, high


def minimum_detectable_effect(planning: Planning) -> float:
    """The smallest true difference that the present pairs detect with 80 % power; NaN without known noise."""
    if not planning.known:
        return math.nan

    def short_of(size: float) -> float:
        return power_of(size, planning, planning.pairs) - POWER

    high = planning.noise
    while short_of(high) < 0:
        high *= 2
    return float(optimize.brentq(short_of, 0.0, high, rtol=1e-9)) * (1 + 1e-9)


def _fewest(size: float, planning: Planning, *, noise_known: bool) -> float:
    if not planning.known or math.isnan(size):
        return math.nan

    def enough(pairs: int) -> bool:
        return power_of(size, planning, pairs, noise_known=noise_known) >= POWER

    if size == 0 or not enough(MOST_PAIRS):
        return math.inf
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high)


def _power(ratios: npt.NDArray[np.float64], df: int, level: float) -> npt.NDArray[np.float64]:
    """P(|T| > critical value) for T noncentral t with these noncentralities.

    T squared is noncentral F with 1 and `df` degrees of freedom. scipy's noncentral t, and statsmodels' power
    with it, is NaN for many large noncentralities; its noncentral F only where both arguments are large.
    """
    critical = special.stdtrit(df, 1 - level / 2)
    power = 1 - special.ncfdtr(1, df, np.square(ratios), critical**2)
    lost = np.isnan(power)
    if lost.any():
        # Given the estimated deviation (as a share of the true one) the mean is normal.
        nodes, weights = _quadrature()
        shares = np.sqrt(2 * special.gammaincinv(df / 2, nodes) / df)[:, None]
        power[lost] = weights @ special.ndtr(ratios[lost] - critical * shares)
    clipped: npt.NDArray[np.float64] = np.clip(power, 0.0, 1.0)
    return clipped


@lru_cache(maxsize=256)
def _deviations(df: int) -> npt.NDArray[np.float64]:
    """What the true deviation may be, as multiples of the one estimated with `df`: one a node, (NODES,)."""
    return np.asarray(np.sqrt(df / (2 * special.gammaincinv(df / 2, _quadrature()[0]))))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights on (0, 1): quantiles of whatever is averaged over."""
    nodes, weights = special.roots_legendre(NODES)
    return (nodes + 1) / 2, weights / 2
