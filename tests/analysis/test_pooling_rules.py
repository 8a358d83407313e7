"""What the committed simulation says of pooling over data sets; the package does what it simulates."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.simulation.pooling_rules import RESULTS, Setting, draw, mean_of, of_the_report, settings

TABLE = pd.read_csv(RESULTS)
OURS = TABLE[TABLE["rule"] == "report"]
ERROR = math.sqrt(0.95 * 0.05 / 2_000)


def test_every_cell_is_there_with_its_studies() -> None:
    assert len(OURS) == len(list(settings())) == 48
    assert (OURS["studies"] == 2_000).all()
    assert set(OURS["datasets"]) == {3, 5, 8}


@pytest.mark.parametrize("datasets", [3, 5, 8])
def test_pooled_and_predicted_intervals_hold_as_often_as_they_say(datasets: int) -> None:
    # Equal noise, where both are exact: the mean over eight cells within 1.5 standard errors of one cell.
    exact = OURS[(OURS["datasets"] == datasets) & (OURS["noise"] == "1:1")]
    for column in ("pooled", "observed effect"):
        assert abs(exact[column].mean() - 0.95) <= 1.5 * ERROR
        assert (exact[column] - 0.95).abs().max() <= 4 * ERROR


def test_unequal_noise_costs_little_and_true_effects_are_predicted_cautiously() -> None:
    assert OURS["pooled"].min() >= 0.95 - 4 * ERROR
    assert OURS["observed effect"].min() >= 0.93
    assert OURS["true effect"].min() >= 0.95 - 4 * ERROR
    assert OURS.loc[OURS["tau"] == 0, "heterogeneity"].max() <= 0.05 + 4 * ERROR


def test_inverse_variance_weights_from_few_seeds_hold_too_seldom() -> None:
    for rule in ("dl", "reml"):
        assert TABLE.loc[TABLE["rule"] == rule, "pooled"].min() < 0.9
    cochran = TABLE[(TABLE["rule"] == "dl") & (TABLE["tau"] == 0)]
    assert cochran["heterogeneity"].min() > 0.09


def test_leaving_insensitive_data_sets_out_keeps_the_promise_and_concludes_more_often() -> None:
    left_out, all_or_none = (TABLE[TABLE["rule"] == rule] for rule in ("sensitive only", "where all are"))
    assert left_out["pooled"].min() >= 0.93
    assert left_out["kept"].mean() > all_or_none["kept"].mean()


def test_the_package_says_what_the_rule_says() -> None:
    drawn = draw(np.random.default_rng(0), Setting(5, 3, "2:1", 1.0), 20)
    ours, rule = of_the_report(drawn, 3), mean_of(drawn, 3)
    np.testing.assert_allclose(ours.pooled, rule.pooled, rtol=1e-9)
    np.testing.assert_allclose(ours.predicted, rule.predicted, rtol=1e-9)
    assert ours.differ is not None
    assert rule.differ is not None
    assert ours.differ.tolist() == rule.differ.tolist()
