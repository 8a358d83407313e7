"""Seeds until a comparison is settled: rules that could say when, by error, coverage and seeds used.

Run:   python -m analysis.simulation.precision_rules            (about four minutes of one core)
2,000 studies a cell, of variants against one reference (so that differences correlate by a half), whose
paired differences have the standard deviation `sd`. A study begins with 3 seeds, adds `block` at a time, and
at most 20. Contrasts that are settled get no further seed (racing). Goals:

- `precision`: settled is what has a half-width of at most 1 point, at the level of the whole family;
- `smallest effect`: settled is what differs, or is equal within plus and minus 1 point (both by Holm);
- `difference`: what differs; all else goes on to the last seed, where all the error that is allowed is spent.

Truths: `nothing` differs; `half`, every other contrast differs by 2 points; `edge`, all differ by 1
point, which is no equality yet. Rules:

- `fixed`: as many seeds as the *true* deviation needs, which nobody knows; plain t, Holm and Bonferroni;
- `all seeds`: 20 for everybody, likewise;
- `naive`: plain t at every look, stopped as if it were the only one;
- `stein`: the pilot's deviation decides how many (Stein 1945, 'A two-sample test for a linear hypothesis
  whose power is independent of the variance', Ann. Math. Statist. 16), one look, with the pilot's 2 degrees
  of freedom; `stein 5` begins with 5 seeds;
- `studies`: what studies use (`cmae_ablate/report/sequential.py`): limits that fall with the fourth root of
  the number of seeds (Wang and Tsiatis 1987), here with Bonferroni's share for each of several contrasts;
  what correlations save of it is in `family_coverage.py`;
- `one level`: one t level at all looks (Pocock 1977), and `late`: limits that fall with the square root
  (O'Brien and Fleming 1979), both exact by the same integral;
- `always`: a confidence sequence without a last look, by the t statistic under a normal mixture of effect
  sizes with variance 1 (Wang and Ramdas 2025, 'Anytime-valid t-tests and confidence sequences for Gaussian
  means with unknown variance'; after Lai 1976).

Columns: `error`, studies in which something that is null is called different; `false equal`, in which
something at the margin or beyond is called equal; `coverage`, in which the simultaneous intervals at the end
hold all true differences, and `all looks`, in which they do at every look: what holds whatever stops a study.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special

from cmae_ablate.report.seed_rule import Looks
from cmae_ablate.report.sequential import chance_to_cross, look_level

RESULTS = Path(__file__).with_name("precision_rules.csv")
STUDIES, ALPHA = 2_000, 0.05
FIRST, MOST, WIDTH = 3, 20, 1.0
SDS = (0.5, 1.0, 2.0, 3.0)
CONTRASTS = (1, 3, 9)
BLOCKS = (1, 2, 5)
GOALS = {"precision": ("null", "half"), "smallest effect": ("half", "edge"), "difference": ("null",)}
Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Limits = Callable[[Looks, float], Array]
"""Limits of |t|, one a look, by looks and level."""


@dataclass(frozen=True)
class Setting:
    """One cell of the simulation."""

    goal: str
    truth: str
    contrasts: int
    sd: float
    block: int

    @property
    def effects(self) -> Array:
        """The true differences, (contrasts,)."""
        if self.truth == "half":
            return np.where(np.arange(self.contrasts) % 2 == 0, 2.0, 0.0)
        return np.full(self.contrasts, WIDTH if self.truth == "edge" else 0.0)


def plain(looks: Looks, level: float) -> Array:
    """As if each look were the only one."""
    return np.array([_t(pairs - 1, level) for pairs in looks.pairs])


@lru_cache
def studies_own(looks: Looks, level: float) -> Array:
    """What studies use."""
    return np.array([_t(pairs - 1, look_level(looks, pairs, level)) for pairs in looks.pairs])


def falling(power: float) -> Limits:
    """Limits whose normal quantiles fall with this power of the number of pairs: 0 and 1/2 have names."""

    @lru_cache
    def limits(looks: Looks, level: float) -> Array:
        pairs = np.array(looks.pairs)

        def at(log_z: float) -> Array:
            z = math.exp(log_z) * (looks.most / pairs) ** power
            return -np.asarray(special.stdtrit(pairs - 1, special.ndtr(-z)))

        def excess(log_z: float) -> float:
            return chance_to_cross(dict(zip(looks.pairs, at(log_z), strict=True))) - level

        return at(optimize.brentq(excess, math.log(1.0), math.log(6.0), xtol=1e-5))

    return limits


def always(looks: Looks, level: float) -> Array:
    """Where the mixture's likelihood ratio for a t statistic reaches 1 / level; infinite where it cannot."""
    n = np.array(looks.pairs, dtype=float)
    growth = 1 + n
    factor = (np.sqrt(growth) / level) ** (2 / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        square = (n - 1) * (factor - 1) / (1 - factor / growth)
    return np.where(factor < growth, np.sqrt(np.maximum(square, 0)), np.inf)


RULES: dict[str, Limits] = {
    "naive": plain,
    "studies": studies_own,
    "one level": falling(0.0),
    "late": falling(0.5),
    "always": always,
}


def draw(rng: np.random.Generator, setting: Setting, studies: int) -> Array:
    """Paired differences, (studies, seeds, contrasts): all variants share the reference."""
    noise = rng.normal(0, setting.sd / math.sqrt(2), (studies, MOST, setting.contrasts + 1))
    return noise[:, :, 1:] - noise[:, :, :1] + setting.effects


def sequential(differences: Array, setting: Setting, limits: Limits) -> dict[str, float]:
    """What comes of a rule that looks after every block."""
    studies, _, contrasts = differences.shape
    looks, count = Looks(FIRST, setting.block, MOST), np.arange(1, MOST + 1)[:, None]
    means = differences.cumsum(axis=1) / count
    deviations = np.sqrt(
        np.maximum(np.square(differences).cumsum(axis=1) - count * means**2, 0) / np.maximum(count - 1, 1)
    )
    by_rank = np.stack([limits(looks, ALPHA / (contrasts - rank)) for rank in range(contrasts)])
    # How far a difference has come at most, as the family's rank-th level counts: one number for all levels.
    strength = np.zeros((studies, contrasts, contrasts))
    above, below = np.zeros_like(strength), np.zeros_like(strength)
    stopped = np.zeros(
        (studies, contrasts), dtype=int
    )  # look at which a contrast stopped, from 1; 0: it goes on
    differs = equal = np.zeros((studies, contrasts), dtype=bool)
    missed = np.zeros((studies, contrasts), dtype=bool)
    for number, look in enumerate(looks.pairs):
        mean, error = means[:, look - 1], deviations[:, look - 1] / math.sqrt(look)
        missed |= np.abs(mean - setting.effects) > by_rank[0, number] * error
        is_open = stopped == 0
        strength, above, below = (
            np.where(
                is_open[:, :, None],
                np.maximum(so_far, (far / error)[:, :, None] / by_rank[:, number]),
                so_far,
            )
            for so_far, far in ((strength, np.abs(mean)), (above, mean + WIDTH), (below, WIDTH - mean))
        )
        differs, equal = _holm(strength), _holm(np.minimum(above, below))
        half = by_rank[0, number] * error
        settled = {
            "precision": half <= WIDTH,
            "smallest effect": differs | equal,
            "difference": differs,
        }[setting.goal]
        stopped = np.where(is_open & (settled | (look == MOST)), number + 1, stopped)
    at = np.array(looks.pairs)[stopped - 1]
    rows = np.arange(studies)[:, None], at - 1, np.arange(contrasts)[None, :]
    half = by_rank[0, stopped - 1] * deviations[rows] / np.sqrt(at)
    return _counted(setting, means[rows], half, at, differs, equal) | {
        "all looks": float(1 - missed.any(axis=1).mean())
    }


def _holm(strength: Array) -> npt.NDArray[np.bool_]:
    """Which contrasts Holm's steps reject: `strength[..., rank]` exceeds 1 where that rank's level does."""
    studies, contrasts, _ = strength.shape
    order = np.argsort(-strength[:, :, 0], axis=1)
    in_order = np.take_along_axis(strength, order[:, :, None], axis=1)
    passes = np.logical_and.accumulate(np.diagonal(in_order, axis1=1, axis2=2) > 1, axis=1)
    rejected = np.zeros((studies, contrasts), dtype=bool)
    np.put_along_axis(rejected, order, passes, axis=1)
    return rejected


def single_look(
    differences: Array, setting: Setting, pairs: npt.NDArray[np.int64], pilot: int = 0
) -> dict[str, float]:
    """What comes of one look at so many pairs each, (studies, contrasts); by a pilot's deviation, if any."""
    contrasts = differences.shape[2]
    taken = np.arange(1, MOST + 1)[None, :, None] <= pairs[:, None, :]
    mean = (differences * taken).sum(axis=1) / pairs
    squares = (np.square(differences - mean[:, None, :]) * taken).sum(axis=1)
    deviation, df = np.sqrt(squares / (pairs - 1)), pairs - 1
    if pilot:
        deviation, df = differences[:, :pilot].std(axis=1, ddof=1), np.full_like(pairs, pilot - 1)
    error = deviation / np.sqrt(pairs)
    by_rank = np.stack([_t(df, ALPHA / (contrasts - rank)) for rank in range(contrasts)], axis=2)
    # Equality by the same two-sided levels as sequential rules have it.
    differs, equal = (
        _holm((far / error)[:, :, None] / by_rank) for far in (np.abs(mean), WIDTH - np.abs(mean))
    )
    return _counted(setting, mean, by_rank[:, :, 0] * error, pairs, differs, equal)


def stein_pairs(differences: Array, setting: Setting, pilot: int) -> npt.NDArray[np.int64]:
    """Seeds by the pilot's deviation; smallest effects need half of the width, as then nothing stays open."""
    deviation = differences[:, :pilot].std(axis=1, ddof=1)
    width = WIDTH if setting.goal == "precision" else WIDTH / 2
    needed = np.ceil((_t(pilot - 1, ALPHA / setting.contrasts) * deviation / width) ** 2)
    return np.clip(needed, pilot, MOST).astype(int)


def fixed_pairs(setting: Setting) -> int:
    """Seeds by the true deviation."""
    width = WIDTH if setting.goal == "precision" else WIDTH / 2
    halves = (_t(n - 1, ALPHA / setting.contrasts) * setting.sd / math.sqrt(n) for n in range(2, MOST))
    return next((n for n, half in enumerate(halves, 2) if half <= width), MOST)


def _counted(
    setting: Setting, mean: Array, half: Array, pairs: npt.NDArray[np.int64], differs: Flags, equal: Flags
) -> dict[str, float]:
    truth = setting.effects
    covers = np.abs(mean - truth) <= half
    true_null, apart = truth == 0, np.abs(truth) >= WIDTH
    settled = {"precision": half <= WIDTH + 1e-12, "smallest effect": differs | equal, "difference": differs}
    return {
        "error": float((differs & true_null).any(axis=1).mean()) if true_null.any() else math.nan,
        "false equal": float((equal & apart).any(axis=1).mean()) if apart.any() else math.nan,
        "coverage": float(covers.all(axis=1).mean()),
        "coverage of one": float(covers.mean()),
        "detected": float(differs[:, ~true_null].mean()) if (~true_null).any() else math.nan,
        "settled": float(settled[setting.goal].mean()),
        "half-width": float(np.median(half)),
        "seeds": float(pairs.mean()),
        "cells": float((pairs.sum(axis=1) + pairs.max(axis=1)).mean()),
    }


def cell(setting: Setting, studies: int = STUDIES) -> Iterator[dict[str, object]]:
    """A row a rule, all of the same studies."""
    name = f"{setting.truth} {setting.contrasts} {setting.sd}"  # the same for all goals and blocks
    differences = draw(np.random.default_rng(zlib.crc32(name.encode())), setting, studies)
    found = {rule: sequential(differences, setting, limits) for rule, limits in RULES.items()}
    if setting.block == 1:
        shape = (studies, setting.contrasts)
        found["fixed"] = single_look(differences, setting, np.full(shape, fixed_pairs(setting)))
        found["all seeds"] = single_look(differences, setting, np.full(shape, MOST))
        for rule, pilot in (("stein", FIRST), ("stein 5", 5)):
            found[rule] = single_look(differences, setting, stein_pairs(differences, setting, pilot), pilot)
    for rule, numbers in found.items():
        # A CSV's `null` would be read as no value.
        told = {**vars(setting), "truth": setting.truth.replace("null", "nothing"), "rule": rule}
        yield {**told, **{key: round(value, 4) for key, value in numbers.items()}}


def settings() -> Iterator[Setting]:
    """Every cell."""
    for goal, truths in GOALS.items():
        for truth in truths:
            for contrasts in CONTRASTS:
                for sd in SDS:
                    for block in BLOCKS:
                        yield Setting(goal, truth, contrasts, sd, block)


def _t(df: npt.ArrayLike, level: float) -> Array:
    """The two-sided t quantile."""
    return np.asarray(special.stdtrit(df, 1 - level / 2))


def main() -> None:
    """Simulate every cell and write the table."""
    rows = [row for setting in settings() for row in cell(setting)]
    pd.DataFrame(rows).assign(studies=STUDIES).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
