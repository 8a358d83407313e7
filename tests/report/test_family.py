"""Adjusted p values and simultaneous intervals of whole families."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cmae_ablate.report.caption import caption_note
from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.dunnett import critical_value
from cmae_ablate.report.effects import compare
from cmae_ablate.report.effects_table import effects_table
from cmae_ablate.report.findings import find
from cmae_ablate.report.frame import ReportExtras
from cmae_ablate.report.tables import make_table, modelled_interval

METRIC = "linear_probe.top1"


def test_simultaneous_intervals_are_bonferronis(build: Callable) -> None:
    # Two comparisons of three seeds, each at 2.5 % with 2 degrees of freedom, where P(|T| > t) is
    # 1 - t / sqrt(t^2 + 2), so that t = q sqrt(2 / (1 - q^2)) with q = 0.975.
    # Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3).
    t = 0.975 * math.sqrt(2 / (1 - 0.975**2))
    study, trials = build({"a": [30.0, 31.0, 32.0], "b": [31.0, 33.0, 35.0], "c": [30.5, 30.2, 33.0]})
    effect = compare(sort_out(trials, study), METRIC).effects[1]
    assert effect.among == 2
    assert effect.simultaneous == pytest.approx((2 - t / math.sqrt(3), 2 + t / math.sqrt(3)), rel=1e-9)
    row = effects_table(compare(sort_out(trials, study), METRIC)).iloc[1]
    assert (row["sim_low"], row["sim_high"]) == effect.simultaneous
    assert row["sim_low"] < row["ci_low"] < row["ci_high"] < row["sim_high"]


def test_one_comparison_has_the_plain_interval(build: Callable) -> None:
    study, trials = build({"a": [30.0, 31.0, 32.0], "b": [31.0, 33.0, 35.0]})
    effect = compare(sort_out(trials, study), METRIC).effects[1]
    assert effect.simultaneous == pytest.approx((effect.paired.ci_low, effect.paired.ci_high))


def test_what_only_the_stepwise_test_detects_is_marked(build: Callable) -> None:
    # p near 0 and 0.035: Holm leaves the second at 0.035, but Bonferroni's interval of the second reaches 0.
    base = np.array([30.0, 31.0, 32.0, 31.5, 30.5])
    values = {
        "a": base,
        "b": base + np.array([2.9, 3.0, 3.1, 3.0, 3.0]),
        "c": base + np.array([0.1, 1.3, 0.6, 1.1, 0.35]),
    }
    study, trials = build({k: list(v) for k, v in values.items()})
    _, first, second = compare(sort_out(trials, study), METRIC).effects
    assert max(first.p_holm, second.p_holm) < 0.05
    assert second.simultaneous[0] <= 0 < first.simultaneous[0]


def test_exploratory_comparisons_stand_alone(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(4, 5), contrasts=(("depth 7", "depth 8"),))
    effects = compare(sort_out(trials, study), METRIC).effects
    assert [e.among for e in effects] == [1, 1, 1, 1]
    assert all(map(math.isnan, effects[2].simultaneous))


def test_a_pooled_variance_brings_dunnetts_intervals_and_p_values(build: Callable, noisy: Callable) -> None:
    values = noisy(4, 3)
    study, trials = build(values, variance="pooled")
    comparison = compare(sort_out(trials, study), METRIC)
    grid = np.array(list(values.values())).T
    rest = grid - grid.mean(axis=0) - grid.mean(axis=1, keepdims=True) + grid.mean()
    error = math.sqrt(2 * (rest**2).sum() / 6 / 3)  # 6 degrees of freedom, 3 seeds
    reach = critical_value(3, 6) * error
    assert comparison.variance == "pooled"
    for effect in comparison.declared:
        delta = effect.paired.delta
        assert effect.simultaneous == pytest.approx((delta - reach, delta + reach), rel=1e-9)
        # The paired numbers stay what they are, and the declared ones stand beside them.
        assert effect.modelled is not None
        assert effect.paired.p != effect.modelled.p
    table = effects_table(comparison)
    assert {"pooled_low", "pooled_high", "pooled_p", "pooled_df", "variance_ratio"} <= set(table.columns)


def test_answer_and_caption_say_what_a_pooled_variance_tests_by(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(3, 3), variance="pooled", report=())
    found = find(study, trials, None, ReportExtras())
    effect = found.comparison.declared[0]
    own = found.comparison.metric.interval(*modelled_interval(effect))
    assert f", by the pooled variance {own}, Dunnett p " in found.answer.lines[0]
    assert "Holm" not in found.answer.text
    caption = caption_note(found.comparison)
    assert "p by one variance, pooled over all variants" in caption
    assert "Dunnett's stepwise test covers every variant" in caption
    assert "p (Dunnett)" in make_table(found.comparison, (), found.cells, None).header


def test_contrasts_without_a_common_partner_are_bonferronis_under_a_pooled_variance(
    build: Callable, noisy: Callable
) -> None:
    pairs = (("depth 7", "depth 8"), ("depth 6", "depth 7"))
    study, trials = build(noisy(3, 4), variance="pooled", contrasts=pairs)
    declared = compare(sort_out(trials, study), METRIC).declared
    p_values = sorted((e.modelled.p, e.p_holm) for e in declared if e.modelled)
    assert p_values[0][1] == pytest.approx(2 * p_values[0][0])
    assert p_values[1][1] == pytest.approx(max(p_values[1][0], p_values[0][1]))


def test_a_moderated_variance_of_few_comparisons_stays_paired(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(3, 3), variance="moderated")
    comparison = compare(sort_out(trials, study), METRIC)
    assert comparison.variance == "paired"
    assert all(e.modelled is None for e in comparison.effects)


def test_the_variance_is_the_paired_one_unless_declared(build: Callable, noisy: Callable) -> None:
    comparison = compare(sort_out(*reversed(build(noisy(5, 3)))), METRIC)
    assert comparison.variance == "paired"
    assert "variance_ratio" not in effects_table(comparison)
