"""The F tests of a balanced grid, against sums of squares written out."""

from __future__ import annotations

import math
from itertools import product

import pandas as pd
import pytest

from cmae_ablate.report.anova import COLUMNS, TIMES, anova_of

LEVELS = ("off", "on")
# By seed: (off, off), (off, on), (on, off), (on, on).
VALUES = {0: (1.0, 3.0, 4.0, 8.0), 1: (2.0, 3.0, 7.0, 9.0), 2: (0.0, 5.0, 5.0, 9.0)}


def frame() -> pd.DataFrame:
    rows = [
        {"a": a, "b": b, "seed": seed, "value": value}
        for seed, values in VALUES.items()
        for (a, b), value in zip(product(LEVELS, LEVELS), values, strict=True)
    ]
    return pd.DataFrame(rows)


def contrast(signs: tuple[int, ...]) -> float:
    """Sum of squares of one degree of freedom: 12 / 4 / 4 times the squared mean contrast of four cells."""
    mean = sum(sum(s * v for s, v in zip(signs, values, strict=True)) for values in VALUES.values()) / 3
    return 3 * mean**2 / 4


def test_terms_have_the_sums_of_squares_and_f_of_the_textbook() -> None:
    table, notes = anova_of(frame(), ("a", "b"))
    assert (tuple(table), notes) == (COLUMNS, ())
    found = table.set_index("term")
    sums = {"a": contrast((-1, -1, 1, 1)), "b": contrast((-1, 1, -1, 1))}
    sums[f"a{TIMES}b"] = contrast((1, -1, -1, 1))
    every = [value for values in VALUES.values() for value in values]
    grand = sum(every) / 12
    total = sum((value - grand) ** 2 for value in every)
    seeds = sum(4 * (sum(values) / 4 - grand) ** 2 for values in VALUES.values())
    residual = total - seeds - sum(sums.values())
    for term, sum_sq in sums.items():
        assert found.loc[term, "sum_sq"] == pytest.approx(sum_sq)
        # 12 cells less the mean, two seeds and three terms leave six degrees of freedom.
        assert found.loc[term, "F"] == pytest.approx(sum_sq / (residual / 6))
        assert found.loc[term, "partial_eta_sq"] == pytest.approx(sum_sq / (sum_sq + residual))
    assert found.loc["residual", ["sum_sq", "df"]].tolist() == pytest.approx([residual, 6])
    assert math.isnan(found.loc["residual", "partial_eta_sq"])


def test_a_factor_may_be_called_anything() -> None:
    renamed = frame().rename(columns={"a": "C(x) ~ 1", "b": "value "})
    table, _ = anova_of(renamed, ("C(x) ~ 1", "value "))
    assert list(table["term"])[:3] == ["seed", "C(x) ~ 1", "value "]
    pd.testing.assert_series_equal(table["p"], anova_of(frame(), ("a", "b"))[0]["p"])


def test_one_seed_leaves_nothing_to_estimate_the_noise_from() -> None:
    whole = frame()
    table, notes = anova_of(whole[whole["seed"] == 0], ("a", "b"))
    assert len(table) == 0
    assert "add seeds" in notes[0]
