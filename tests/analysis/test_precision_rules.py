"""What the committed simulation says of the rule by which studies add seeds, and that it runs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.simulation.precision_rules import (
    MOST,
    RESULTS,
    Setting,
    always,
    cell,
    draw,
    fixed_pairs,
    stein_pairs,
)
from cmae_ablate.report.seed_rule import Looks

TABLE = pd.read_csv(RESULTS)
OURS = TABLE[TABLE["rule"] == "studies"]
ERROR = math.sqrt(0.95 * 0.05 / 2_000)


def over_streams(table: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Mean over cells that are independent draws, the furthest of them from it, and the mean's error."""
    shares = table[column]
    return float(shares.mean()), float(shares.min()), float(shares.max())


@pytest.mark.parametrize("block", [1, 2, 5])
def test_a_single_contrast_that_spends_all_its_error_is_nominal(block: int) -> None:
    # One cell of ten lies 1.5 standard errors out by chance: that limit judges the mean; each alone has 4.
    spent = OURS[(OURS["goal"] == "difference") & (OURS["contrasts"] == 1) & (OURS["block"] == block)]
    assert (spent["studies"] == 2_000).all()
    assert len(spent) == 4
    for column, nominal in (("error", 0.05), ("all looks", 0.95)):
        mean, lowest, highest = over_streams(spent, column)
        assert abs(mean - nominal) <= 1.5 * ERROR
        assert max(abs(lowest - nominal), abs(highest - nominal)) <= 4 * ERROR


@pytest.mark.parametrize("contrasts", [3, 9])
def test_families_are_nominal_or_up_to_half_a_percentage_point_cautious(contrasts: int) -> None:
    spent = OURS[(OURS["goal"] == "difference") & (OURS["contrasts"] == contrasts)]
    assert 0.045 <= spent["error"].mean() <= 0.05
    assert 0.95 <= spent["all looks"].mean() <= 0.955


def test_in_no_cell_is_a_statement_wrong_more_often_than_it_says() -> None:
    for column in ("error", "false equal"):
        assert OURS[column].max() <= 0.05 + 4 * ERROR
    for column in ("coverage", "all looks"):
        assert OURS[column].min() >= 0.95 - 4 * ERROR


def test_stopping_by_plain_intervals_finds_what_is_not_there_three_times_as_often() -> None:
    naive = TABLE[(TABLE["rule"] == "naive") & (TABLE["goal"] == "difference")]
    assert naive["error"].min() > 0.14


def test_the_rule_settles_more_than_steins_and_always_valid_ones_where_several_contrasts_need_a_width() -> (
    None
):
    rows = TABLE[(TABLE["goal"] == "precision") & (TABLE["sd"] == 1.0) & (TABLE["block"] == 1)]
    settled = rows[rows["truth"] == "half"].pivot(index="contrasts", columns="rule", values="settled")
    for other in ("always", "stein", "stein 5", "one level"):
        assert (settled.loc[[3, 9], "studies"] > settled.loc[[3, 9], other]).all()


def test_a_smallest_effect_costs_fewer_seeds_than_a_number_fixed_beforehand() -> None:
    rows = TABLE[(TABLE["goal"] == "smallest effect") & (TABLE["truth"] == "half") & (TABLE["block"] == 1)]
    seeds = rows.pivot(index=["contrasts", "sd"], columns="rule", values="seeds")
    assert (seeds["studies"] < seeds["fixed"]).all()


def test_fixed_numbers_are_those_of_the_t_interval() -> None:
    # t(0.975, 6) = 2.4469 and sqrt(7) = 2.6458: a half-width of 0.925; with 6 it is 2.5706 / 2.4495 = 1.049.
    assert fixed_pairs(Setting("precision", "null", 1, 1.0, 1)) == 7


def test_steins_number_is_that_of_his_paper_for_a_pilot() -> None:
    # The least n with t(df = 4) s / sqrt(n) <= 1: (2.776445 s)^2, rounded up.
    setting = Setting("precision", "null", 1, 1.0, 1)
    differences = draw(np.random.default_rng(0), setting, 50)
    s = differences[:, :5, 0].std(axis=1, ddof=1)
    expected = np.clip(np.ceil(7.708647 * s**2), 5, MOST)
    assert stein_pairs(differences, setting, 5)[:, 0].tolist() == expected.tolist()


def test_the_always_valid_interval_ends_where_the_mixtures_likelihood_ratio_is_one_over_the_level() -> None:
    looks = Looks(3, 4, 20)
    for n, t in zip(looks.pairs, always(looks, 0.05), strict=True):
        if math.isinf(t):
            continue
        # The t density under a normal effect size, by averaging the noncentral t: an independent writing.
        effects = np.linspace(-6, 6, 4001)
        weights = stats.norm.pdf(effects) * (effects[1] - effects[0])
        mixed = float(weights @ stats.nct.pdf(t, n - 1, effects * math.sqrt(n)))
        assert mixed / stats.t.pdf(t, n - 1) == pytest.approx(20, rel=1e-3)


def test_a_cell_judges_all_rules_by_the_same_studies() -> None:
    rows = list(cell(Setting("smallest effect", "half", 1, 1.0, 1), studies=20))
    assert {row["rule"] for row in rows} == set(TABLE["rule"])
    assert all(0 <= float(str(row["coverage"])) <= 1 for row in rows)
