"""Simulate whole studies through the code of `report --trials`, and count how often its statements hold.

Run:   python -m analysis.simulation.simulate [TEXT]...     (only cells whose name has one of these in it)
Each study is drawn with a known truth, written as a `trials.csv`, read with `read_trials`, and analysed by
the functions that fill `effects.csv`; figures and page are left out. 2,000 studies a cell, each cell with a
stream of its own. A cell's rows in `results.csv` are replaced as it ends; `typical` is the median of the
seeds stated, or of the interval's half-width in points. About an hour and a half on one core.
"""

from __future__ import annotations

import gc
import math
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock
from scipy import stats

from analysis.simulation.grids import cells_of, combinations, grid_terms
from cmae_ablate.report.effects import compare
from cmae_ablate.report.effects_table import contrasts_table
from cmae_ablate.report.frame import StudyDescription

STUDIES = 2_000
IMAGES = 1_000
METRIC = "linear_probe.top1"
SEED_SD, NOISE_SD = 2.0, 0.8
"""Of a seed, which all variants share, and of a cell, in points; a difference then has sd 1.13."""
RESULTS = Path(__file__).with_name("results.csv")
Array = npt.NDArray[np.float64]
Row = dict[str, object]
Cell = Callable[[Path, np.random.Generator], list[Row]]


def effects(
    values: Mapping[str, Array],
    pairs: tuple[tuple[str, str], ...],
    folder: Path,
    variance: str = "paired",
    *,
    thorough: bool = False,
    correct: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    clusters: npt.NDArray[np.int64] | None = None,
) -> pd.DataFrame:
    """The rows of `contrasts.csv` (those of `effects.csv`, for declared contrasts) of one simulated study.

    Args:
        values: The metric by variant, one number a seed; the first is the reference.
        pairs: The declared contrasts.
        folder: Where to write `trials.csv`.
        variance: What the study declares.
        thorough: Also how many seeds are needed; nothing else depends on it.
        correct: Per variant which test images are right, (seeds, images).
        clusters: What each image belongs to.
    """
    labels = tuple(values)
    seeds = len(values[labels[0]])
    description = StudyDescription(
        name="simulated",
        question="Is what the report says true?",
        scale="none",
        variants=labels,
        reference=labels[0],
        factors={"method": labels},
        levels={label: {"method": label} for label in labels},
        seeds=seeds,
        metric=METRIC,
        contrasts=pairs,
        variance=variance,
    )
    cells = cells_of(values, description, folder)
    kept = {(label, seed): row for label, rows in (correct or {}).items() for seed, row in enumerate(rows)}
    return contrasts_table(compare(cells, METRIC, kept, clusters=clusters, thorough=thorough))


def draw(
    rng: np.random.Generator, variants: int, seeds: int, gain: float = 0.0, loud: float = 1.0
) -> dict[str, Array]:
    """A study's metric: the variant `v1` is `gain` points better and has `loud` times the others' noise."""
    base = 34 + rng.normal(0, SEED_SD, seeds)
    values = {f"v{i}": base + rng.normal(0, NOISE_SD, seeds) for i in range(variants)}
    return values | {"v1": base + gain + rng.normal(0, loud * NOISE_SD, seeds)}


def to_one(comparisons: int) -> tuple[tuple[str, str], ...]:
    """All variants against the first."""
    return tuple((f"v{i}", "v0") for i in range(1, comparisons + 1))


def disjoint(comparisons: int) -> tuple[tuple[str, str], ...]:
    """Pairs that share no variant, so that their differences are independent."""
    return tuple((f"v{2 * i + 1}", f"v{2 * i}") for i in range(comparisons))


def null(
    folder: Path,
    rng: np.random.Generator,
    pairs: tuple[tuple[str, str], ...],
    seeds: int,
    kind: str = "paired",
    loud: float = 1.0,
) -> list[Row]:
    """Null studies: how often anything is detected, and how often intervals hold 0.

    The same studies are tested by scipy as well: where both detect equally often, a share far from the
    nominal one is the chance of this cell's stream.
    """
    variants = len({label for pair in pairs for label in pair})
    detected, own, together, by_scipy = [], [], [], []
    low, high = ("ci_low", "ci_high") if kind == "paired" else (f"{kind}_low", f"{kind}_high")
    for _ in range(STUDIES):
        values = draw(rng, variants, seeds, loud=loud)
        table = effects(values, pairs, folder, kind)
        least = min(stats.ttest_rel(values[a], values[b]).pvalue for a, b in pairs)
        by_scipy.append(bool(least < 0.05 / len(pairs)))
        detected.append(bool((table["p_holm"] < 0.05).any()))
        first = table.iloc[0]
        own.append(first[low] <= 0 <= first[high])
        together.append(bool(((table["sim_low"] <= 0) & (table["sim_high"] >= 0)).all()))
    return [
        counted("family-wise error", 0.05, detected),
        *([counted("family-wise error, by scipy", 0.05, by_scipy)] if kind == "paired" else []),
        counted("interval of v1", 0.95, own),
        counted("simultaneous intervals", 0.95, together),
    ]


def stated(
    folder: Path, rng: np.random.Generator, comparisons: int, pilot: int, *, all_differ: bool = False
) -> list[Row]:
    """Pilot studies, then new ones with the seeds that the report of each pilot states for one point."""
    detected, needed = [], []
    pairs = to_one(comparisons)
    for _ in range(STUDIES):
        first = effects(draw(rng, comparisons + 1, pilot), pairs, folder, thorough=True).iloc[0]
        seeds = int(first["required_pairs"])
        values = draw(rng, comparisons + 1, seeds, gain=1.0)
        if all_differ:
            values |= {label: values[label] + 1.0 for label, _ in pairs[1:]}
        detected.append(effects(values, pairs, folder).iloc[0]["p_holm"] < 0.05)
        needed.append(seeds)
    return [counted("power at the stated n", 0.80, detected) | {"typical": float(np.median(needed))}]


def crossed(
    folder: Path, rng: np.random.Generator, seeds: int, clusters: npt.NDArray[np.int64] | None = None
) -> list[Row]:
    """Per-image results with random seeds and random images, single or in clusters; the truth is 0."""
    held, halves = [], []
    for _ in range(STUDIES):
        difficulty, shift = rng.normal(0, 1, IMAGES), rng.normal(0, 0.6, IMAGES)
        if clusters is not None:
            shift = shift + rng.normal(0, 0.3, clusters.max() + 1)[clusters]
        # The variants are exchangeable but for `shift`, which is symmetric: the true difference is 0.
        correct = {
            label: difficulty
            + sign * shift
            + rng.normal(0, 0.06, (seeds, 1))
            + rng.normal(0, 1, (seeds, IMAGES))
            > 0.8
            for label, sign in (("v0", -0.5), ("v1", 0.5))
        }
        values = {label: 100.0 * own.mean(axis=1) for label, own in correct.items()}
        row = effects(values, to_one(1), folder, thorough=True, correct=correct, clusters=clusters).iloc[0]
        held.append(row["two_way_low"] <= 0 <= row["two_way_high"])
        halves.append((row["two_way_high"] - row["two_way_low"]) / 2)
    return [counted("two-way interval", 0.95, held) | {"typical": float(np.median(halves))}]


def null_grid(folder: Path, rng: np.random.Generator, factors: int, seeds: int) -> list[Row]:
    """Null grids of two-level factors: main effects and interactions are the family."""
    detected, own = [], []
    for _ in range(STUDIES):
        base = 34 + rng.normal(0, SEED_SD, seeds)
        values = {c: base + rng.normal(0, NOISE_SD, seeds) for c in combinations(factors)}
        terms = grid_terms(values, METRIC, folder)
        detected.append(any(term.p_holm < 0.05 for term in terms))
        own.append(terms[0].ci_low <= 0 <= terms[0].ci_high)
    return [
        counted("family-wise error", 0.05, detected),
        counted("interval of a main effect", 0.95, own),
    ]


def cells() -> dict[str, Cell]:
    """Every cell of the simulation by its name."""
    found: dict[str, Cell] = {}
    for seeds in (3, 5):
        for k in (1, 3, 9):
            found[f"null: {k} to one reference, {seeds} seeds"] = partial(null, pairs=to_one(k), seeds=seeds)
        for k in (3, 9):
            found[f"null: {k} disjoint pairs, {seeds} seeds"] = partial(null, pairs=disjoint(k), seeds=seeds)
        for factors in (2, 3):
            found[f"null: grid of {factors} factors, {seeds} seeds"] = partial(
                null_grid, factors=factors, seeds=seeds
            )
    for k in (1, 3, 9):
        for pilot in (3, 10):
            found[f"power: {k} contrasts, one differs, stated by {pilot} seeds"] = partial(
                stated, comparisons=k, pilot=pilot
            )
    for k in (3, 9):
        found[f"power: {k} contrasts, all differ, stated by 10 seeds"] = partial(
            stated, comparisons=k, pilot=10, all_differ=True
        )
    unequal = np.random.default_rng(0).multinomial(IMAGES, np.full(20, 1 / 20))
    sampled = {
        "iid": None,
        "20 equal clusters": np.arange(IMAGES) % 20,
        "20 unequal clusters": np.repeat(np.arange(20), unequal),
        "4 clusters": np.arange(IMAGES) % 4,
    }
    for seeds in (3, 5):
        for name, clusters in sampled.items():
            found[f"two-way: {name}, {seeds} seeds"] = partial(crossed, seeds=seeds, clusters=clusters)
    for kind in ("pooled", "moderated"):
        for k in (3, 9):
            for loud in (1.0, 2.0):
                found[f"variance: {kind}, {k} to one reference, 3 seeds, noise of v1 x{loud:g}"] = partial(
                    null, pairs=to_one(k), seeds=3, kind=kind, loud=loud
                )
    return found


def counted(what: str, nominal: float, outcomes: list[bool]) -> Row:
    """One row of the results: a share, and how many standard errors of `nominal` it lies from it."""
    share = float(np.mean(outcomes))
    error = math.sqrt(nominal * (1 - nominal) / len(outcomes))
    return {
        "statement": what,
        "nominal": nominal,
        "share": share,
        "standard_errors": round((share - nominal) / error, 2),
        "studies": len(outcomes),
    }


def main() -> None:
    """Run the cells named, and keep the rows of the others."""
    gc.freeze()  # statsmodels collects garbage for every correction
    known = cells()
    for name, cell in known.items():
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows = cell(Path(folder), np.random.default_rng(zlib.crc32(name.encode())))
        new = pd.DataFrame([{"cell": name, **row} for row in rows])
        print(new.to_string(index=False, header=False), flush=True)
        with FileLock(f"{RESULTS}.lock"):
            old = pd.read_csv(RESULTS) if RESULTS.is_file() else pd.DataFrame({"cell": []})
            results = pd.concat([old[old["cell"] != name], new]).astype({"studies": int})
            order = list(known)
            results.sort_values("cell", key=lambda c: c.map(order.index), kind="stable").to_csv(
                RESULTS, index=False
            )


if __name__ == "__main__":
    main()
