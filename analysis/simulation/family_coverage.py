"""Do families of contrasts keep to 95 % at all looks, whatever their correlation, and what does it cost?

Run:   python -m analysis.simulation.family_coverage            (about three minutes of one core)
Ten cells of 2,000 studies a row; from 3 seeds on, all of them spent, as they are where nothing else stops a
study: that is where most can be missed. What is missed around the true differences depends neither on these
nor on how large the noise is, only on how the contrasts correlate. Designs:

- `shared`: all variants against one reference, whose noise is `reference` times a variant's: at 1 differences
  correlate by a half; at 0 they are independent; at 2 they correlate by 0.8;
- `one loud`: the same with a reference of 1, where one variant has twice the others' noise;
- `chain`: each variant against the one before it, all as noisy; neighbours correlate by minus a half.

Limits:

- `studies`: what studies use (`cmae_ablate/report/shared_error.py`): each contrast's share of the 5 % follows
  from the correlation that is estimated at each look;
- `bonferroni`: its share for each contrast, which holds for any correlation; older plans keep to it;
- `known`: as `studies`, with the true correlation instead of an estimate;
- `nyholt`: as `studies`, with 5 % over 1 + (k - 1)(1 - mean squared correlation), the effective number of
  comparisons of Nyholt 2004 ('A simple correction for multiple testing for single-nucleotide polymorphisms in
  linkage disequilibrium with each other', Am. J. Hum. Genet. 74);
- `joint`: Dunnett's way (1955), the limit that all contrasts of a `shared` design keep together in 95 % of
  studies if all variants are as noisy, found in 100,000 studies of their own;
- `one`: the plain interval of each contrast by itself, as `ci_low` and `ci_high` of a report.

Columns: `all looks`, studies (`one`: contrasts) whose intervals hold the true differences at every look,
over all ten cells; `lowest` and `highest` of the ten; `excess`, how far `all looks` lies above 95 %, in
standard errors of one cell. `error`, where the limit has stepwise tests: studies in which these detect
something at any look though nothing differs, and `error of two`, one of the first two contrasts, which do not
differ, while all others differ beyond doubt. `width`: the half-width at the last look, in units of
Bonferroni's.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from cmae_ablate.report.seed_rule import Looks
from cmae_ablate.report.sequential import SHAPE, look_level
from cmae_ablate.report.shared_error import CLOSEST, Share

RESULTS = Path(__file__).with_name("family_coverage.csv")
CELLS, STUDIES, CALIBRATION = 10, 2_000, 100_000
ALPHA, FIRST, MOST = 0.05, 3, 20
CONTRASTS, BLOCKS, REFERENCES = (3, 9), (1, 2, 5), (0.0, 0.5, 1.0, 2.0)
FEW = (4, 6)
"""Largest numbers of seeds with which next to nothing is known of correlations."""
ERROR = math.sqrt(ALPHA * (1 - ALPHA) / STUDIES)
GRID = np.linspace(0, CLOSEST, 39)
"""Correlations between which limits are interpolated."""
Array = npt.NDArray[np.float64]
Limit = Callable[[Array], Array]
"""What is allowed at the last look, as normal quantiles, by the estimated mean squared correlation."""


def shared(contrasts: int, reference: float = 1.0, first: float = 1.0) -> Array:
    """Each contrast's differences as a mix of independent noises, (contrasts, 1 + contrasts), the reference's
    first."""
    own = np.diag([first, *[1.0] * (contrasts - 1)])
    return np.hstack([np.full((contrasts, 1), -reference), own])


def chain(contrasts: int) -> Array:
    """Likewise, of each variant against the one before it."""
    none = np.zeros((contrasts, 1))
    identity = np.eye(contrasts)
    return np.hstack([none, identity]) - np.hstack([identity, none])


def draw(rng: np.random.Generator, studies: int, mix: Array, looks: Looks) -> Array:
    """Paired differences around the true ones, (studies, seeds, contrasts)."""
    return np.asarray(rng.normal(0, 1, (studies, looks.most, mix.shape[1])) @ mix.T)


def looked_at(differences: Array, looks: Looks) -> Iterator[tuple[int, Array]]:
    """Each look's number of pairs, and |t| of each contrast around its true difference."""
    sums, squares = differences.cumsum(axis=1), np.square(differences).cumsum(axis=1)
    for n in looks.pairs:
        mean = sums[:, n - 1] / n
        yield n, np.abs(mean) * np.sqrt(n * (n - 1) / (squares[:, n - 1] - n * mean**2))


def squared_correlation(differences: Array) -> Array:
    """The mean of all pairs of contrasts, less what chance makes of it, (studies,)."""
    _, n, contrasts = differences.shape
    centred = differences - differences.mean(axis=1, keepdims=True)
    centred /= np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
    squares = np.square(centred.transpose(0, 2, 1) @ centred).sum(axis=(1, 2)) - contrasts
    return np.maximum(squares / (contrasts * (contrasts - 1)) - 1 / (n - 1), 0)


def size_of(t: Array, pairs: int, looks: Looks) -> Array:
    """|t| at a look as the limit at the last one counts it, as a normal quantile."""
    return np.asarray(-special.ndtri(special.stdtr(pairs - 1, -t)) * (pairs / looks.most) ** SHAPE)


def furthest(differences: Array, looks: Looks) -> Array:
    """How far a study goes at most, over all contrasts and looks, (studies,)."""
    return np.max([size_of(t.max(axis=1), n, looks) for n, t in looked_at(differences, looks)], axis=0)


def limit(looks: Looks, level: float) -> float:
    """What an interval of this level allows at the last look, as a normal quantile."""
    return -float(special.ndtri(look_level(looks, looks.most, level) / 2))


@lru_cache
def joint_limit(looks: Looks, contrasts: int, studies: int = CALIBRATION) -> float:
    """The limit that the furthest of all contrasts exceeds in 5 % of studies whose variants are as noisy."""
    rng = np.random.default_rng([contrasts, looks.block])
    mix = shared(contrasts)
    parts = [furthest(draw(rng, studies // 10, mix, looks), looks) for _ in range(10)]
    return float(np.quantile(np.concatenate(parts), 1 - ALPHA))


def limits(looks: Looks, mix: Array) -> dict[str, Limit]:
    """The limits of a family that do not depend on a calibration, by name."""
    contrasts = len(mix)
    covariance = mix @ mix.T
    deviations = np.sqrt(np.diag(covariance))
    correlations = np.square(covariance / np.outer(deviations, deviations))
    true = math.sqrt((correlations.sum() - contrasts) / (contrasts * (contrasts - 1)))
    by_correlation = [limit(looks, Share(contrasts, float(rho)).level) for rho in GRID]
    effective = 1 + (contrasts - 1) * (1 - GRID**2)
    by_number = [limit(looks, ALPHA / float(number)) for number in effective]

    def always(value: float) -> Limit:
        return lambda squared: np.full(len(squared), value)

    return {
        "studies": lambda squared: np.interp(np.sqrt(squared), GRID, by_correlation),
        "bonferroni": always(limit(looks, ALPHA / contrasts)),
        "known": always(limit(looks, Share(contrasts, min(true, CLOSEST)).level)),
        "nyholt": lambda squared: np.interp(np.sqrt(squared), GRID, by_number),
    }


def cell(
    rng: np.random.Generator, mix: Array, looks: Looks, allowed: dict[str, Limit], studies: int = STUDIES
) -> dict[str, dict[str, float]]:
    """What comes of each limit, and of each contrast's own, in studies of one design."""
    contrasts, two = len(mix), limit(looks, ALPHA / 2)
    held = {name: np.ones(studies, dtype=bool) for name in allowed}
    wrong = {(name, k): np.zeros(studies, dtype=bool) for name in allowed for k in (2, contrasts)}
    own = np.ones((studies, contrasts), dtype=bool)
    most, most_of_two = np.zeros(studies), np.zeros(studies)
    reaches: dict[str, Array] = {}
    differences = draw(rng, studies, mix, looks)
    for n, t in looked_at(differences, looks):
        squared = squared_correlation(differences[:, :n])
        size, of_two = (size_of(some.max(axis=1), n, looks) for some in (t, t[:, :2]))
        most, most_of_two = np.maximum(most, size), np.maximum(most_of_two, of_two)
        own &= t <= -special.stdtrit(n - 1, look_level(looks, n, ALPHA) / 2)
        for name, by in allowed.items():
            reach = by(squared)
            held[name] &= size <= reach
            # Holm's steps, of which none asks for more than the joint limit does.
            wrong[name, contrasts] |= most > reach
            wrong[name, 2] |= most_of_two > np.minimum(reach, two)
            if n == looks.most:
                reaches[name] = -np.asarray(special.stdtrit(n - 1, special.ndtr(-reach)))
    found = {
        name: {
            "all looks": float(held[name].mean()),
            "error": float(wrong[name, contrasts].mean()),
            "error of two": float(wrong[name, 2].mean()),
            "width": float((reaches[name] / reaches["bonferroni"]).mean()),
        }
        for name in allowed
    }
    return found | {"one": {"all looks": float(own.mean())}}


def rows(
    contrasts: int, looks: Looks, design: str, reference: float, cells: int = CELLS
) -> Iterator[dict[str, object]]:
    """A row a limit."""
    mix = {
        "shared": shared(contrasts, reference),
        "one loud": shared(contrasts, reference, first=2.0),
        "chain": chain(contrasts),
    }[design]
    allowed = limits(looks, mix)
    if design == "shared" and looks.most == MOST:
        joint = joint_limit(looks, contrasts)
        allowed["joint"] = lambda squared: np.full(len(squared), joint)
    name = f"{contrasts} {looks.block} {reference}"
    name += "" if (design, looks.most) == ("shared", MOST) else f" {design} {looks.most}"
    found = [
        cell(np.random.default_rng(zlib.crc32(f"{name} {number}".encode())), mix, looks, allowed)
        for number in range(cells)
    ]
    for rule in found[0]:
        shares = [each[rule]["all looks"] for each in found]
        mean = sum(shares) / cells
        row: dict[str, object] = {
            "contrasts": contrasts,
            "block": looks.block,
            "most": looks.most,
            "design": design,
            "reference": reference,
            "limit": rule,
            "all looks": round(mean, 5),
            "lowest": min(shares),
            "highest": max(shares),
            "excess": round((mean - (1 - ALPHA)) / ERROR, 2),
        }
        for column in ("error", "error of two", "width"):
            means = [each[rule][column] for each in found if column in each[rule] and rule != "joint"]
            row[column] = round(sum(means) / cells, 5) if means else math.nan
        yield row | {"studies": STUDIES * cells}


def designs() -> Iterator[tuple[int, Looks, str, float]]:
    """All of the table."""
    for contrasts in CONTRASTS:
        for block in BLOCKS:
            looks = Looks(FIRST, block, MOST)
            yield from ((contrasts, looks, "shared", reference) for reference in REFERENCES)
        for most in (*FEW, MOST):
            looks = Looks(FIRST, 1, most)
            if most != MOST:
                yield from ((contrasts, looks, "shared", reference) for reference in REFERENCES)
            yield contrasts, looks, "one loud", 1.0
            yield contrasts, looks, "chain", 1.0


def main() -> None:
    """Simulate every cell and write the table."""
    pd.DataFrame([row for each in designs() for row in rows(*each)]).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
