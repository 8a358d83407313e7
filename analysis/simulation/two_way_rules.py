"""How often the interval over seeds and images holds the truth, against other rules.

Run:   python -m analysis.simulation.two_way_rules            (about five minutes of one core)
6,000 studies a cell, drawn as in `simulate.py`, with seeds that vary not at all, as there, and much. Rules:

- `report`: what reports have, by Welch's series (`cmae_ablate/report/two_way.py`).
- `satterthwaite`: the variance without negative parts, Satterthwaite's degrees of freedom, nothing else.
- `floored`: that, and never narrower than the plain t interval over seeds or clusters where these differ at
  all; reports had it until commit 82d0cdb.
- `generalised`: the generalised interval (Weerahandi 1993, 'Generalized confidence intervals'; Hannig, Iyer
  and Patterson 2006, 'Fiducial generalized confidence intervals'), negative variances as 0.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats

from analysis.simulation.simulate import IMAGES
from cmae_ablate.report.two_way import two_way

RESULTS = Path(__file__).with_name("two_way_rules.csv")
STUDIES = 6_000
CLUSTERS = {"iid": None, "20 clusters": np.arange(IMAGES) % 20, "4 clusters": np.arange(IMAGES) % 4}
SEED_SDS = {"none": 0.0, "as simulated": 0.06, "much": 0.2}
"""Of a seed's shift of all scores, where an image's own noise has 1."""
DRAWS = 1024
Array = npt.NDArray[np.float64]
Clusters = npt.NDArray[np.int64] | None


def draw(
    rng: np.random.Generator, seeds: int, clusters: Clusters, seed_sd: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which images two equally good variants get right, (seeds, images) each."""
    difficulty, shift = rng.normal(0, 1, IMAGES), rng.normal(0, 0.6, IMAGES)
    if clusters is not None:
        shift = shift + rng.normal(0, 0.3, clusters.max() + 1)[clusters]
    ours, theirs = (
        difficulty + sign * shift + rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, 1, (seeds, IMAGES))
        > 0.8
        for sign in (0.5, -0.5)
    )
    return ours, theirs


def mean_squares(differences: Array) -> tuple[float, float, float, float]:
    """Of seeds, units and residual, over their product; and the units' degrees of freedom.

    Args:
        differences: Means by seed and unit (image, or cluster of equal size), (S, U).
    """
    seeds, units = differences.shape
    mean, by_seed, by_unit = differences.mean(), differences.mean(axis=1), differences.mean(axis=0)
    residual = differences - by_seed[:, None] - by_unit + mean
    rest = float(np.square(residual).sum()) / ((seeds - 1) * (units - 1))
    return by_seed.var(ddof=1) / seeds, by_unit.var(ddof=1) / units, rest / (seeds * units), units - 1.0


def satterthwaite(seed: float, unit: float, rest: float, units_df: float, seeds: int) -> float:
    """Half the interval's width."""
    parts = [(square, df) for square, df in ((seed, seeds - 1.0), (unit, units_df)) if square > rest]
    variance = rest + sum(square - rest for square, _ in parts)
    if len(parts) != 1:
        parts.append((rest, (seeds - 1.0) * units_df))
    df = max(variance**2 / sum(square**2 / own for square, own in parts), min(seeds - 1.0, units_df))
    return half_width(variance, df)


def floored(seed: float, unit: float, rest: float, units_df: float, seeds: int) -> float:
    """Half the interval's width: no narrower than a plain t interval where seeds or units differ."""
    plain = [
        half_width(square, df)
        for square, df in ((seed, seeds - 1.0), (unit, units_df))
        if square > rest * special.fdtri(df, (seeds - 1.0) * units_df, 0.5)
    ]
    return max([satterthwaite(seed, unit, rest, units_df, seeds), *plain])


def generalised(seed: float, unit: float, rest: float, units_df: float, seeds: int) -> float:
    """Half the interval's width: the 95 % quantile of the generalised pivotal quantity, by bisection."""
    of_seed, of_unit, of_rest = (np.array([seed, unit, rest]) / _shares(seeds - 1.0, units_df)).T
    deviation = np.sqrt(np.maximum(of_seed + of_unit - of_rest, 1e-12))
    low, high = 0.0, 50 * float(np.sqrt(seed + unit + rest))
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if 2 * special.ndtr(-middle / deviation).mean() > 0.05 else (low, middle)
    return high


@lru_cache
def _shares(seeds_df: float, units_df: float) -> Array:
    """Mean squares over what they estimate, where draws are even: (DRAWS, 3)."""
    uniform = np.clip(stats.qmc.Sobol(3, seed=1).random(DRAWS), 1e-9, 1 - 1e-9)
    dfs = np.array([seeds_df, units_df, seeds_df * units_df])
    shares: Array = stats.chi2.ppf(uniform, dfs) / dfs
    return shares


def half_width(variance: float, df: float) -> float:
    """Of a t interval."""
    return float(special.stdtrit(df, 0.975) * np.sqrt(variance))


RULES: dict[str, Callable[[float, float, float, float, int], float]] = {
    "satterthwaite": satterthwaite,
    "floored": floored,
    "generalised": generalised,
}


def cell(seeds: int, sampled: str, seed_sd: float, studies: int = STUDIES) -> dict[str, dict[str, float]]:
    """By rule: the share of studies whose interval holds the truth, 0, and the median half-width."""
    rng = np.random.default_rng(zlib.crc32(f"{seeds} {sampled} {seed_sd}".encode()))
    clusters = CLUSTERS[sampled]
    held: dict[str, list[tuple[bool, float]]] = {name: [] for name in (*RULES, "report")}
    for _ in range(studies):
        ours, theirs = draw(rng, seeds, clusters, seed_sd)
        differences = 100.0 * (ours.astype(float) - theirs)
        units = IMAGES if clusters is None else clusters.max() + 1
        by_unit = differences.reshape(seeds, -1, units).mean(axis=1)  # images i, i + units, ... are a cluster
        squares = mean_squares(by_unit)
        for name, rule in RULES.items():
            half = rule(*squares, seeds)
            held[name].append((abs(differences.mean()) <= half, half))
        found = two_way(list(ours), list(theirs), clusters)
        held["report"].append((found.ci_low <= 0 <= found.ci_high, (found.ci_high - found.ci_low) / 2))
    return {
        name: {"share": float(np.mean([h for h, _ in own])), "typical": float(np.median([w for _, w in own]))}
        for name, own in held.items()
    }


def main() -> None:
    """Simulate every cell and write the table."""
    rows = []
    for seeds in (3, 5):
        for sampled in CLUSTERS:
            for varies, seed_sd in SEED_SDS.items():
                for rule, counted in cell(seeds, sampled, seed_sd).items():
                    rows.append(
                        {"seeds": seeds, "images": sampled, "seeds vary": varies, "rule": rule, **counted}
                    )
                    print(rows[-1], flush=True)
    pd.DataFrame(rows).assign(studies=STUDIES).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
