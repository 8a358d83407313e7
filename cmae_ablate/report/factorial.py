"""Main effects and interactions of a full grid: type-II analysis of variance with the seed as block."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.stats import quietly

COLUMNS = ("term", "sum_sq", "df", "F", "p", "partial_eta_sq")


@dataclass(frozen=True)
class Factorial:
    """A grid's analysis.

    Attributes:
        factors: The factors with at least two levels.
        cells: One row a complete cell: a column per factor (its level), `seed` and `value`.
        anova: One row a term: main effects, two-way interactions, seed, residual; columns `COLUMNS`.
        notes: Why some numbers are missing.
    """

    factors: tuple[str, ...]
    cells: pd.DataFrame
    anova: pd.DataFrame
    notes: tuple[str, ...]


def is_grid(study: StudyDescription) -> bool:
    """Whether the variants are every combination of at least two factors' levels."""
    factors = [f for f, levels in study.factors.items() if len(levels) > 1]
    if len(factors) < 2:
        return False
    have = {tuple(study.levels.get(v, {}).get(f, "") for f in factors) for v in study.variants}
    return have == set(itertools.product(*(study.factors[f] for f in factors)))


def analyse(cells: Cells) -> Factorial | None:
    """The analysis of a full grid's metric; None for any other design or without a complete cell."""
    study = cells.description
    if not is_grid(study):
        return None
    factors = tuple(f for f, levels in study.factors.items() if len(levels) > 1)
    values = cells.by_seed(study.metric)
    rows = [
        {**{f: study.levels[variant][f] for f in factors}, "seed": seed, "value": value}
        for variant in study.variants
        for seed, value in zip(values.index.tolist(), values[variant].tolist(), strict=True)
        if not math.isnan(value)
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    anova, notes = _anova(frame, factors, combinations=len(study.variants))
    return Factorial(factors, frame, anova, notes)


def _anova(
    frame: pd.DataFrame, factors: tuple[str, ...], combinations: int
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    empty = pd.DataFrame(columns=list(COLUMNS))
    filled = frame.groupby(list(factors), sort=False).ngroups
    if filled < combinations:
        return empty, (
            f"no analysis of variance: {combinations - filled} combinations have no complete cell",
        )
    # Plain names inside the formula: a factor may be called anything.
    plain = {factor: f"f{index}" for index, factor in enumerate(factors)}
    data = frame.rename(columns={**plain, "value": "y"})
    block = "C(seed) + " if data["seed"].nunique() > 1 else ""
    with quietly():
        fit = ols(f"y ~ {block}({' + '.join(f'C({name})' for name in plain.values())})**2", data).fit()
        if fit.df_resid < 1 or not fit.ssr > 1e-20 * max(1.0, float(np.square(data["y"]).sum())):
            return empty, (
                "no analysis of variance: nothing is left over to estimate the noise from; add seeds",
            )
        table = anova_lm(fit, typ=2)
    names = {f"C({name})": factor for factor, name in plain.items()} | {
        "C(seed)": "seed",
        "Residual": "residual",
    }
    residual = float(table.loc["Residual", "sum_sq"])
    lines = [
        {
            "term": " \N{MULTIPLICATION SIGN} ".join(names[part] for part in str(term).split(":")),
            "sum_sq": float(row["sum_sq"]),
            "df": float(row["df"]),
            "F": float(row["F"]),
            "p": float(row["PR(>F)"]),
            "partial_eta_sq": math.nan if term == "Residual" else _share(float(row["sum_sq"]), residual),
        }
        for term, row in table.iterrows()
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS)), ()


def _share(sum_sq: float, residual: float) -> float:
    return sum_sq / (sum_sq + residual)
