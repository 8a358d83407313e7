"""How many paired seeds a difference needs, so that 'not told apart' never stands alone."""

from __future__ import annotations

import math

from statsmodels.stats.power import TTestPower

from cmae_ablate.report.stats import ALPHA

POWER = 0.8
MOST_PAIRS = 100_000


def power_of(size: float, noise: float, pairs: int) -> float:
    """Chance that a two-sided paired t test at 5 % tells a true difference of `size`.

    Args:
        size: True mean difference.
        noise: Standard deviation of the differences, above 0.
        pairs: Number of paired seeds, at least 2.
    """
    return float(TTestPower().power(abs(size) / noise, pairs, ALPHA, alternative="two-sided"))


def pairs_to_tell(size: float, noise: float) -> float:
    """Fewest paired seeds that tell `size` with 80 % power; inf above 100,000, NaN without known noise."""
    if not (noise > 0 and math.isfinite(size)):
        return math.nan
    if size == 0 or power_of(size, noise, MOST_PAIRS) < POWER:
        return math.inf
    # power() rises with n, and solving for a fractional n fails for large effects: search the integers.
    low, high = 1, 2
    while power_of(size, noise, high) < POWER:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(size, noise, middle) >= POWER else (middle, high)
    return float(high)


def told_by(pairs: int, noise: float) -> float:
    """The smallest true difference that `pairs` paired seeds tell with 80 % power; NaN below two pairs."""
    if pairs < 2 or not noise > 0:
        return math.nan
    effect = TTestPower().solve_power(nobs=pairs, alpha=ALPHA, power=POWER, alternative="two-sided")
    return float(effect) * noise
