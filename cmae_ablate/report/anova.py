"""The F tests of a grid's terms: type-II analysis of variance with the seed as block."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from cmae_ablate.report.stats import quietly
from cmae_ablate.report.wording import counted

COLUMNS = ("term", "sum_sq", "df", "F", "p", "partial_eta_sq")
TIMES = " \N{MULTIPLICATION SIGN} "
"""Between the factors of an interaction."""


def anova_of(
    frame: pd.DataFrame, factors: tuple[str, ...], combinations: int
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table of F tests, and why there is none where it has no row.

    Args:
        frame: A column a factor, `seed` and `value`: one row a complete cell.
        factors: Which columns the factors are.
        combinations: How many combinations of their levels there should be.

    Returns:
        A row a term and one of the residual, with the columns `COLUMNS`; notes for the reader.
    """
    empty = pd.DataFrame(columns=list(COLUMNS))
    filled = frame.groupby(list(factors), sort=False).ngroups
    if filled < combinations:
        lacking = counted(combinations - filled, "combination")
        return empty, (f"no analysis of variance: {lacking} without a complete cell",)
    from statsmodels.formula.api import ols  # a second to import, for grids alone
    from statsmodels.stats.anova import anova_lm

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
            "term": TIMES.join(names[part] for part in str(term).split(":")),
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
