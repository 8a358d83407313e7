"""The rules that the report's interval is set against, and what their committed simulation says."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.simulation.two_way_rules import (
    RESULTS,
    cell,
    draw,
    generalised,
    mean_squares,
    satterthwaite,
    where_half,
)
from cmae_ablate.report.caption import CAUTIOUS
from cmae_ablate.report.two_way import two_way

ERROR = math.sqrt(0.95 * 0.05 / 2_000)


def test_mean_squares_are_sums_over_cells() -> None:
    d = np.random.default_rng(0).normal(0, 1, (3, 4))
    mean = d.mean()
    of_seeds = 4 * sum((row.mean() - mean) ** 2 for row in d) / 2
    of_units = 3 * sum((d[:, u].mean() - mean) ** 2 for u in range(4)) / 3
    rest = sum((d[s, u] - d[s].mean() - d[:, u].mean() + mean) ** 2 for s in range(3) for u in range(4)) / 6
    assert mean_squares(d) == pytest.approx((of_seeds / 12, of_units / 12, rest / 12, 3.0))


def test_where_only_seeds_vary_all_rules_are_the_t_interval_over_them() -> None:
    # Units alike, and next to no residual: what is left is the variance of three seeds.
    t = 4.302652730 * math.sqrt(2.0)
    squares = (2.0, 1e-9, 1e-9, 999.0)
    assert satterthwaite(*squares, 3) == pytest.approx(t, rel=1e-4)
    assert where_half(*squares, 3) == pytest.approx(t, rel=1e-4)
    assert generalised(*squares, 3) == pytest.approx(t, rel=0.02)


def test_without_a_floor_an_interval_is_never_wider_than_the_reports() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        ours, theirs = draw(rng, 3, None, 0.06)
        squares = mean_squares(100.0 * (ours.astype(float) - theirs))
        found = two_way(list(ours), list(theirs))
        half = (found.ci_high - found.ci_low) / 2
        assert satterthwaite(*squares, 3) <= where_half(*squares, 3) <= half + 1e-9


def test_a_cell_judges_all_rules_by_the_same_studies() -> None:
    found = cell(3, "20 clusters", 0.06, studies=4)
    assert set(found) == {"satterthwaite", "where half", "generalised", "report"}
    assert all(0 <= each["share"] <= 1 for each in found.values())


def test_no_rule_covers_95_percent_everywhere_and_the_reports_never_covers_less() -> None:
    table = pd.read_csv(RESULTS)
    assert (table["studies"] == 2_000).all()
    lowest, highest = (table.groupby("rule")["share"].agg(end) for end in ("min", "max"))
    assert lowest["report"] >= 0.95 - 1.5 * ERROR
    assert lowest["satterthwaite"] < 0.95 - 1.5 * ERROR
    assert (highest > 0.95 + 1.5 * ERROR).all()


@pytest.mark.parametrize(("seeds", "said"), [(3, "95 to 98 % of studies"), (5, "five seeds in 95 to 97 %")])
def test_a_tables_note_says_what_was_simulated(seeds: int, said: str) -> None:
    table = pd.read_csv(RESULTS)
    shares = 100 * table.loc[(table["rule"] == "report") & (table["seeds"] == seeds), "share"]
    assert f"{shares.min():.0f} to {shares.max():.0f} %" in said
    assert said in CAUTIOUS
