"""Intervals and tests of paired differences that hold although the data are looked at several times.

A study that adds seeds until it knows enough looks at each of its contrasts after a first number of pairs,
again after every further block, and for the last time at a largest number that it states beforehand. Each
look uses a t interval, wider than a plain one by so much that over *all* looks together the intervals hold
the true difference in 95 % of studies. So a contrast may stop at any look, for any reason, and its interval
still holds: these are repeated confidence intervals (Jennison and Turnbull 1989, 'Interim analyses: the
repeated confidence interval approach', J. R. Statist. Soc. B 51). How much wider they are falls with the
fourth root of the number of pairs, half-way between one level at all looks (Pocock 1977) and next to nothing
spent early (O'Brien and Fleming 1979): Wang and Tsiatis 1987, 'Approximately optimal one-parameter boundaries
for group sequential trials', Biometrics 43. `analysis/simulation/precision_rules.py` sets it against others.

The limits are exact for few pairs whose variance is unknown, as those of Jennison and Turnbull 1991 ('Exact
calculations for sequential t, chi-square and F tests', Biometrika 78), though found otherwise. The t
statistics of n independent normal differences around their true mean depend on the direction of their vector
alone, which is uniform on the sphere whatever the variance. With `B = sum / sqrt(n sum of squares)` they are
`t = B sqrt((n - 1) / (1 - B^2))`, and `B` is a Markov chain: `B' = (sqrt(n) B cos a + sin a) / sqrt(n + 1)`,
where the angle `a` of the next difference is independent of all before, with a density like `cos^(n - 1)`. So
the chance that some look's |t| crosses its limit follows by going backwards from the last look, one integral
a pair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import special

from cmae_ablate.report.seed_rule import Looks
from cmae_ablate.report.stats import ALPHA, Equivalence, Paired, Values, paired, within

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

SHAPE = 0.25
"""The power of `most / pairs` by which earlier limits are larger, as normal quantiles."""
NODES, ANGLES = 201, 40
"""Where the chance is tabulated, and points an integral takes. Four times as many lower it by 0.2 % of itself
with 20 pairs, and by 1 % with 60: what is stated is on the safe side."""
NEVER, MANY = 8.0, 40
"""A |t| that next to nothing reaches from `MANY` pairs on (1e-9): beyond it nothing is tabulated."""
SIZES = np.linspace(0.0, 6.4, 17)
"""Limits at the last look, as normal quantiles, between which the chance to cross is interpolated."""


def prepare(looks: Looks, comparisons: int) -> None:
    """Compute what all others here look up, a second for twenty looks."""
    for rank in range(comparisons):
        _size_at(looks, ALPHA / (rank + 1))


def look_level(looks: Looks, pairs: int, level: float) -> float:
    """Of the t interval at a look: over all looks together one of theirs misses with chance `level`."""
    return float(2 * special.ndtr(-_size_at(looks, level) * (looks.most / pairs) ** SHAPE))


def overall_p(looks: Looks, p_values: Mapping[int, float]) -> float:
    """The p value over all looks, from the two-sided t tests at those taken so far.

    It can only fall from look to look. Where there is no difference it is uniform at the last look, and at
    any earlier one, whatever chose that, it is no smaller: so it is adjusted for several contrasts as any is.

    Args:
        looks: All of them.
        p_values: By number of pairs.

    Returns:
        NaN where no look has a p.
    """
    sizes = [
        -float(special.ndtri(p / 2)) * (pairs / looks.most) ** SHAPE
        for pairs, p in p_values.items()
        if not math.isnan(p)
    ]
    return _chance(looks, max(sizes)) if sizes else math.nan


def half_width(looks: Looks, pairs: int, noise: float, level: float = ALPHA) -> float:
    """Half the interval's width at a look.

    Args:
        looks: All of them.
        pairs: Of this one.
        noise: Standard deviation of the paired differences, with n - 1.
        level: Of all looks together.
    """
    quantile = -float(special.stdtrit(pairs - 1, look_level(looks, pairs, level) / 2))
    return quantile * noise / math.sqrt(pairs)


def expected_pairs(looks: Looks, noise: float, width: float, level: float) -> float:
    """The first look at which a difference of this noise has a half-width of `width`; inf: none has."""
    return next((n for n in looks.pairs if half_width(looks, n, noise, level) <= width), math.inf)


def repeated(values: Values, against: Values, looks: Looks, span: float = math.inf) -> Paired:
    """As `stats.paired`, with the interval and the p over all looks; both NaN where the pairs are no look's.

    Args:
        values: One variant's metric, (n,), in the order of seeds.
        against: The other's under the same seeds, (n,).
        looks: All of them.
        span: The metric's highest possible value minus its lowest.
    """
    plain = paired(values, against)
    if plain.n not in looks.pairs:
        return replace(plain, ci_low=math.nan, ci_high=math.nan, p=math.nan)
    half = half_width(looks, plain.n, plain.noise)
    low, high = within((plain.delta - half, plain.delta + half), span)
    tests = {n: paired(values[:n], against[:n]).p for n in looks.pairs if n <= plain.n}
    return replace(plain, ci_low=low, ci_high=high, p=overall_p(looks, tests))


def repeated_equivalence(values: Values, against: Values, margin: float, looks: Looks) -> Equivalence:
    """As `stats.equivalence`, over all looks; at most twice as large as need be, as each side is tested as if
    the other did not exist."""
    found = []
    for side in (-margin, margin):
        tests = {}
        for n in (n for n in looks.pairs if n <= len(values)):
            at = paired(values[:n], against[:n] + side)
            tests[n] = at.p if at.delta * side < 0 else 1.0
        found.append(overall_p(looks, tests))
    worse, better = found
    return Equivalence(max(worse, better), worse, better)


def chance_to_cross(limits: Mapping[int, float]) -> float:
    """The chance that |t| around the true mean exceeds its limit at one look or more.

    Args:
        limits: Of |t|, by number of pairs, of which the smallest is at least 2.
    """
    looks = sorted(limits)
    values: npt.NDArray[np.float64] = np.ones(NODES)
    for pairs in range(looks[-1] - 1, looks[0] - 1, -1):
        values = _step_back(values, pairs, _end(limits, pairs), _end(limits, pairs + 1))
    end = _end(limits, looks[0])
    points, weights = special.roots_legendre(4 * ANGLES)
    angle = end * (points + 1) / 2
    inside = np.interp(angle, np.linspace(0, end, NODES), values)
    stays = float(weights @ (inside * np.cos(angle) ** (looks[0] - 2))) * end
    return 1 - stays / _whole(looks[0] - 2)


def _end(limits: Mapping[int, float], pairs: int) -> float:
    """The largest angle asin(B) that goes on: at a look that of its limit."""
    limit = limits.get(pairs, math.inf if pairs < MANY else NEVER)
    return math.atan(limit / math.sqrt(pairs - 1))


def _step_back(
    values: npt.NDArray[np.float64], pairs: int, end: float, next_end: float
) -> npt.NDArray[np.float64]:
    """The chance to cross no limit after `pairs` pairs, from that after one more.

    Args:
        values: At evenly spaced angles from 0 to `next_end`, (NODES,); signs do not matter.
        pairs: Before the further one.
        end: The largest angle that goes on now.
        next_end: And after it.
    """
    b = np.sin(np.linspace(0, end, NODES))[:, None]
    # B' = reach cos(a - top): allowed are the angles at which it lies within plus and minus sin(next_end).
    reach = np.sqrt((pairs * b**2 + 1) / (pairs + 1))
    top = np.arctan2(1.0, math.sqrt(pairs) * b)
    cut = np.arccos(np.minimum(math.sin(next_end) / reach, 1.0))
    parts = [(cut + turn * math.pi, (turn + 1) * math.pi - cut) for turn in (-2, -1, 0)]
    if not cut.any():
        parts = [(cut - 2 * math.pi, math.pi - cut)]
    widest = math.pi / 2 if pairs < MANY else math.atan(NEVER / math.sqrt(pairs - 1))
    points, weights = special.roots_legendre(ANGLES)
    total = np.zeros(NODES)
    for part in parts:
        low, high = (np.clip(top + side, -widest, widest) for side in part)
        if not (high > low).any():
            continue
        angle = low + (high - low) / 2 * (points + 1)
        reached = np.arcsin(np.minimum(np.abs(reach * np.cos(angle - top)), 1.0))
        density = np.cos(angle) ** (pairs - 1)
        stays = np.interp(reached, np.linspace(0, next_end, NODES), values)
        total += ((stays * density) @ weights) * (high - low)[:, 0] / 2
    return total / _whole(pairs - 1)


def _whole(power: int) -> float:
    """The integral of `cos^power` over half a turn."""
    return math.sqrt(math.pi) * math.exp(math.lgamma((power + 1) / 2) - math.lgamma(power / 2 + 1))


@lru_cache(maxsize=64)
def _log_chance(looks: Looks) -> CubicSpline:
    """Logarithm of the chance to cross, by the limit at the last look as a normal quantile."""
    from scipy import interpolate  # half a second, for studies that add seeds

    return interpolate.CubicSpline(SIZES, np.log([_cross(looks, float(size)) for size in SIZES]))


def _cross(looks: Looks, size: float) -> float:
    """The chance to cross limits that are this normal quantile at the last look."""
    if size == 0:
        return 1.0
    tails = {pairs: float(special.ndtr(-size * (looks.most / pairs) ** SHAPE)) for pairs in looks.pairs}
    # No less than by the last look alone, and no more than by all if they excluded one another.
    chance = chance_to_cross(
        {pairs: -float(special.stdtrit(pairs - 1, tail)) for pairs, tail in tails.items()}
    )
    return min(max(chance, 2 * tails[looks.most]), 2 * sum(tails.values()))


def _chance(looks: Looks, size: float) -> float:
    return min(1.0, float(np.exp(_log_chance(looks)(min(max(size, 0.0), float(SIZES[-1]))))))


@lru_cache(maxsize=1024)
def _size_at(looks: Looks, level: float) -> float:
    """The limit at the last look, as a normal quantile, that is crossed somewhere with chance `level`."""
    low, high = 0.0, float(SIZES[-1])
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _chance(looks, middle) > level else (low, middle)
    return high
