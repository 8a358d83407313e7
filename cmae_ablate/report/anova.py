"""The F tests of a grid's terms: analysis of variance with the seed as block.

Every seed has every combination, so that all types of sums of squares are one. The model holds all
interactions of the factors: what is left over is how combinations vary from seed to seed, and no fixed effect
counts as noise.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from cmae_ablate.report.stats import quietly

COLUMNS = ("term", "sum_sq", "df", "F", "p", "partial_eta_sq")
TIMES = " \N{MULTIPLICATION SIGN} "
"""Between the factors of an interaction."""


def anova_of(frame: pd.DataFrame, factors: tuple[str, ...]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table of F tests, and why there is none where it has no row.

    Args:
        frame: A column a factor, `seed` and `value`: one row a cell, every combination under every seed.
        factors: Which columns the factors are.

    Returns:
        A row for the seeds, for each main effect and two-way interaction, and last for the residual, with
        the columns `COLUMNS`; notes for the reader.
    """
    empty = pd.DataFrame(columns=list(COLUMNS))
    nothing_left = "no analysis of variance: nothing is left over to estimate the noise from; add seeds"
    if frame["seed"].nunique() < 2:
        return empty, (nothing_left,)
    from statsmodels.formula.api import ols  # a second to import, for grids alone
    from statsmodels.stats.anova import anova_lm

    # Plain names inside the formula: a factor may be called anything.
    plain = {factor: f"f{index}" for index, factor in enumerate(factors)}
    data = frame.rename(columns={**plain, "value": "y"})
    with quietly():
        fit = ols(f"y ~ C(seed) + {' * '.join(f'C({name})' for name in plain.values())}", data).fit()
        if not fit.ssr > 1e-20 * max(1.0, float(np.square(data["y"]).sum())):
            return empty, (nothing_left,)
        table = anova_lm(fit)
    names = {f"C({name})": factor for factor, name in plain.items()} | {
        "C(seed)": "seed",
        "Residual": "residual",
    }
    residual = float(table["sum_sq"].to_numpy(dtype=np.float64)[-1])
    lines = [
        {
            "term": TIMES.join(names[part] for part in str(term).split(":")),
            "sum_sq": float(row["sum_sq"]),
            "df": float(row["df"]),
            "F": float(row["F"]),
            "p": float(row["PR(>F)"]),
            "partial_eta_sq": math.nan if term == "Residual" else _share(float(row["sum_sq"]), residual),
        }
        for term, row in table.iterrows()
        if str(term).count(":") < 2
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS)), ()


def _share(sum_sq: float, residual: float) -> float:
    return sum_sq / (sum_sq + residual)
