"""What each of several contrasts may spend of the 5 % that they share, by how closely they correlate.

Contrasts that share a variant tend to miss together, so that Bonferroni's share, right for any of them, is
less than they may spend. Their share here is the one at which any of as many normal variables is missed in
5 % of studies if every two of them correlate as closely as the contrasts do on average (for one reference,
whose correlation is known: Dunnett 1955, 'A multiple comparison procedure for comparing several treatments
with a control', J. Am. Statist. Ass. 50). How closely is taken from the paired seeds at hand: the mean of the
squared correlations of every two contrasts' differences, less 1 / (n - 1), which is what chance alone makes
of it. Squared, as an interval of two sides does not ask which way a correlation goes.

Two things have no formula: what chance does to the estimate, and that several looks, and variances of their
own, tie contrasts together a little less than single normal variables are. They nearly cancel:
`analysis/simulation/family_coverage.py` measures what is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import optimize, special

from cmae_ablate.report.seed_rule import Sharing
from cmae_ablate.report.stats import ALPHA, Values

Pair = tuple[str, str]
CLOSEST = 0.95
"""No closer correlation is counted on: beyond it every step of the estimate would weigh too much."""
NODES, FARTHEST = 256, 9.0
"""Where the common part of normal variables is integrated over, in standard deviations."""


@dataclass(frozen=True)
class Share:
    """What one contrast may spend of the 5 %.

    Attributes:
        comparisons: All that share them.
        correlation: How closely every two of them correlate, in [0, 1); None: unknown, as for Bonferroni.
    """

    comparisons: int
    correlation: float | None = None

    @property
    def level(self) -> float:
        """Of each interval, where all are to hold together in 95 % of studies."""
        if self.correlation is None or self.comparisons == 1:
            return ALPHA / self.comparisons
        return _level(self.correlation, self.comparisons)

    def joint(self, p: float) -> float:
        """The chance that the smallest of all p values is at most `p` where nothing differs; NaN of NaN."""
        if self.correlation is None or self.comparisons == 1:
            return min(1.0, self.comparisons * p)
        return joint_p(p, self.correlation, self.comparisons)


def contrast_differences(family: Sequence[Pair], values: pd.DataFrame) -> pd.DataFrame:
    """Every contrast's differences: one row a seed, one column a contrast, NaN where a cell is missing.

    Args:
        family: All contrasts; one whose variants are not there has no differences, and counts all the same.
        values: One row a seed, one column a variant.
    """
    known = values.reindex(columns=list(dict.fromkeys(variant for pair in family for variant in pair)))
    return pd.DataFrame({number: known[a] - known[b] for number, (a, b) in enumerate(family)})


def share_of(differences: pd.DataFrame, last: int, sharing: Sharing) -> Share:
    """What a contrast may spend that is judged by seeds up to `last`: no later one changes it.

    Args:
        differences: Of the whole family, one row a seed, one column a contrast.
        last: The contrast's last seed.
        sharing: The study's way.
    """
    comparisons = differences.shape[1]
    if sharing == "bonferroni" or comparisons == 1:
        return Share(comparisons)
    return Share(comparisons, correlation(differences[differences.index <= last]))


def correlation(differences: pd.DataFrame) -> float:
    """How closely every two contrasts correlate, from 0 to `CLOSEST`; where that is unknown it counts as 0.

    Args:
        differences: One row a seed, one column a contrast, at least two; NaN where a cell is missing.
    """
    here = differences.notna().to_numpy(dtype=np.float64)
    both = here.T @ here
    squares = np.square(differences.corr(min_periods=3).to_numpy()) - 1 / np.maximum(both - 1, 1)
    mean = float(np.nan_to_num(squares[np.triu_indices(len(both), 1)]).mean())
    return min(math.sqrt(max(mean, 0.0)), CLOSEST)


def joint_p(p: float, correlation: float, comparisons: int) -> float:
    """The chance that one of so many normal variables is as far out as a two-sided `p`; NaN of NaN.

    Args:
        p: Of one of them.
        correlation: Of every two, in [0, 1).
        comparisons: How many.
    """
    if math.isnan(p):
        return p
    common, density = _common_part()
    limit, own = -float(special.ndtri(p / 2)), math.sqrt(1 - correlation)
    shift = math.sqrt(correlation) * common
    inside = special.ndtr((limit - shift) / own) - special.ndtr((-limit - shift) / own)
    return float(np.clip(1 - density @ inside**comparisons, p, 1.0))


@lru_cache
def _common_part() -> tuple[Values, Values]:
    """Where the integral over a standard normal variable is taken, and with what weight, (NODES,) each."""
    nodes, weights = special.roots_legendre(NODES)
    common = FARTHEST * nodes
    return common, FARTHEST * weights * np.exp(-np.square(common) / 2) / math.sqrt(2 * math.pi)


@lru_cache(maxsize=1024)
def _level(correlation: float, comparisons: int) -> float:
    """The p that the smallest of all stays above in 95 % of studies."""
    low, high = ALPHA / comparisons, ALPHA
    return float(optimize.brentq(lambda p: joint_p(p, correlation, comparisons) - ALPHA, low, high))
