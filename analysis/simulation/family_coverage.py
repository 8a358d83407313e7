"""Do families that share a reference keep to 95 % at all looks, and would a joint limit be better?

Run:   python -m analysis.simulation.family_coverage            (about a minute of one core)
Ten cells of 2,000 studies for each number of contrasts, block, and noise of the reference; 3 to 20 seeds, all
of them spent, as they are where nothing else stops a study: that is where most can be missed. What is missed
around the true differences depends neither on these nor on how large the noise is, only on how much of it is
the reference's: with a `reference` of 1 all variants are as noisy, and differences correlate by a half; at 0
it has none, and they are independent; at 2 they correlate by 0.8. Limits:

- `studies`: what studies use, Bonferroni's share of the 5 % for each contrast: it holds for any correlation;
- `joint`: Dunnett's way (1955), the limit that all contrasts keep together in 95 % of studies if all variants
  are as noisy, found in 100,000 studies of their own;
- `one`: the plain interval of each contrast by itself, as `ci_low` and `ci_high` of a report.

Columns: `all looks`, studies (`one`: contrasts) whose intervals hold the true differences at every look,
over all ten cells; `lowest` and `highest` of the ten; `excess`, how far `all looks` lies above 95 %,
in standard errors of one cell.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from cmae_ablate.report.seed_rule import Looks
from cmae_ablate.report.sequential import SHAPE, look_level

RESULTS = Path(__file__).with_name("family_coverage.csv")
CELLS, STUDIES, CALIBRATION = 10, 2_000, 100_000
ALPHA, FIRST, MOST = 0.05, 3, 20
CONTRASTS, BLOCKS, REFERENCES = (3, 9), (1, 2, 5), (0.0, 0.5, 1.0, 2.0)
ERROR = math.sqrt(ALPHA * (1 - ALPHA) / STUDIES)
Array = npt.NDArray[np.float64]


def furthest(
    rng: np.random.Generator, studies: int, contrasts: int, looks: Looks, reference: float = 1.0
) -> Array:
    """How far each contrast's |t| goes at most over all looks, as the limit at the last one counts it.

    Args:
        rng: Draws the studies.
        studies: How many.
        contrasts: Variants beside the reference.
        looks: When they are looked at.
        reference: Its noise, in units of a variant's.

    Returns:
        Normal quantiles, (studies, contrasts).
    """
    noise = rng.normal(0, 1, (studies, looks.most, contrasts + 1))
    differences = noise[:, :, 1:] - reference * noise[:, :, :1]
    count = np.arange(1, looks.most + 1)[:, None]
    means = differences.cumsum(axis=1) / count
    squares = np.square(differences).cumsum(axis=1) - count * means**2
    found = np.zeros((studies, contrasts))
    for n in looks.pairs:
        t = np.abs(means[:, n - 1]) * np.sqrt(n * (n - 1) / squares[:, n - 1])
        size = -special.ndtri(special.stdtr(n - 1, -t)) * (n / looks.most) ** SHAPE
        found = np.maximum(found, size)
    return found


def limit(looks: Looks, level: float) -> float:
    """What studies allow at the last look, as a normal quantile."""
    return -float(special.ndtri(look_level(looks, looks.most, level) / 2))


def joint_limit(looks: Looks, contrasts: int, studies: int = CALIBRATION) -> float:
    """The limit that the furthest of all contrasts exceeds in 5 % of studies whose variants are as noisy."""
    rng = np.random.default_rng([contrasts, looks.block])
    parts = [furthest(rng, studies // 10, contrasts, looks).max(axis=1) for _ in range(10)]
    return float(np.quantile(np.concatenate(parts), 1 - ALPHA))


def rows(contrasts: int, block: int, cells: int = CELLS) -> Iterator[dict[str, object]]:
    """A row a limit and noise of the reference."""
    looks = Looks(FIRST, block, MOST)
    joint = joint_limit(looks, contrasts)
    for reference in REFERENCES:
        held: dict[str, list[float]] = {"studies": [], "joint": [], "one": []}
        for cell in range(cells):
            name = f"{contrasts} {block} {reference} {cell}"
            found = furthest(
                np.random.default_rng(zlib.crc32(name.encode())), STUDIES, contrasts, looks, reference
            )
            worst = found.max(axis=1)
            held["studies"].append(float((worst <= limit(looks, ALPHA / contrasts)).mean()))
            held["joint"].append(float((worst <= joint).mean()))
            held["one"].append(float((found <= limit(looks, ALPHA)).mean()))
        for rule, shares in held.items():
            mean = sum(shares) / len(shares)
            yield {
                "contrasts": contrasts,
                "block": block,
                "reference": reference,
                "limit": rule,
                "all looks": round(mean, 5),
                "lowest": min(shares),
                "highest": max(shares),
                "excess": round((mean - (1 - ALPHA)) / ERROR, 2),
                "studies": STUDIES * cells,
            }


def main() -> None:
    """Simulate every cell and write the table."""
    found = [row for contrasts in CONTRASTS for block in BLOCKS for row in rows(contrasts, block)]
    pd.DataFrame(found).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
