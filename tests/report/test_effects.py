"""`effects.csv` against scipy and statsmodels called directly on the raw table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.effects_table import contrasts_table, effects_table
from cmae_ablate.report.frame import StudyDescription

METRIC = "linear_probe.top1"
CONTRACT = ["variant", "n", "mean", "std", "delta", "ci_low", "ci_high", "p", "p_holm", "dz"]
TIGHT = {"rel": 1e-9, "abs": 1e-9, "nan_ok": True}


def effects_of(study: StudyDescription, trials: pd.DataFrame) -> pd.DataFrame:
    return effects_table(compare(sort_out(trials, study), METRIC)).set_index("variant", drop=False)


def expected_row(trials: pd.DataFrame, variant: str, reference: str) -> dict[str, float]:
    """The Contract's numbers by joining on the seed and calling scipy."""
    ours, theirs = (
        trials[trials["variant"] == name][["seed", METRIC]].dropna() for name in (variant, reference)
    )
    joined = ours.merge(theirs, on="seed", suffixes=("_a", "_b"))
    a, b = joined[f"{METRIC}_a"].to_numpy(), joined[f"{METRIC}_b"].to_numpy()
    test = stats.ttest_rel(a, b)
    interval = test.confidence_interval()
    return {
        "n": len(a),
        "mean": stats.tmean(a),
        "std": stats.tstd(a),
        "delta": stats.tmean(a - b),
        "ci_low": interval.low,
        "ci_high": interval.high,
        "p": test.pvalue,
        "dz": test.statistic / math.sqrt(len(a)),
    }


@pytest.mark.filterwarnings("ignore:Precision loss")
@pytest.mark.parametrize("seeds", [2, 3, 20])
@pytest.mark.parametrize("shape", ["balanced", "unbalanced", "missing", "tied"])
def test_every_number_is_scipys(seeds: int, shape: str, build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(4, seeds + 2), seeds=seeds + 2)
    if shape == "unbalanced":
        trials = trials.drop(trials.index[(trials["variant"] == "depth 7") & (trials["seed"] >= seeds)])
    elif shape == "missing":
        trials.loc[(trials["variant"] == "depth 8") & (trials["seed"] < 2), METRIC] = math.nan
    elif shape == "tied":
        trials[METRIC] = trials[METRIC].round()
    effects = effects_of(study, trials)
    p_values = []
    for variant in study.variants[1:]:
        expected = expected_row(trials, variant, "depth 8")
        for column, value in expected.items():
            assert effects.loc[variant, column] == pytest.approx(value, **TIGHT), (variant, column)
        p_values.append(expected["p"])
    adjusted = multipletests(p_values, method="holm")[1]
    assert effects.loc[list(study.variants[1:]), "p_holm"].tolist() == pytest.approx(list(adjusted), **TIGHT)


def test_the_first_ten_columns_are_the_contracts(build: Callable, noisy: Callable) -> None:
    assert list(effects_of(*build(noisy(3, 3))).columns[:10]) == CONTRACT


def test_the_reference_has_a_row_with_its_own_level_and_no_test(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(3, 4))
    row = effects_of(study, trials).loc["depth 8"]
    own = trials.loc[trials["variant"] == "depth 8", METRIC]
    assert (row["n"], row["mean"], row["std"]) == pytest.approx((4, own.mean(), own.std(ddof=1)), **TIGHT)
    assert row["delta"] == 0
    assert row[["ci_low", "ci_high", "p", "p_holm", "dz"]].isna().all()


def test_one_seed_gives_a_difference_and_no_interval(build: Callable) -> None:
    row = effects_of(*build({"MAE": [34.0], "CMAE": [36.5]})).loc["CMAE"]
    assert (row["n"], row["mean"], row["delta"]) == (1, 36.5, 2.5)
    assert row[["std", "ci_low", "ci_high", "p", "p_holm", "dz"]].isna().all()
    assert "a single paired seed" in row["verdict"]


def test_the_same_variant_under_two_names_differs_by_exactly_zero(build: Callable) -> None:
    row = effects_of(*build({"MAE": [34.0, 35.1, 33.3], "again": [34.0, 35.1, 33.3]})).loc["again"]
    assert (row["delta"], row["ci_low"], row["ci_high"]) == (0.0, 0.0, 0.0)
    assert row["verdict"].startswith("inconclusive; the same number of right answers in every seed")


def test_a_constant_difference_is_never_a_detected_one(build: Callable) -> None:
    row = effects_of(*build({"MAE": [34.0, 35.0], "CMAE": [35.0, 36.0]})).loc["CMAE"]
    assert (row["delta"], row["ci_low"], row["ci_high"]) == (1.0, 1.0, 1.0)
    assert row["verdict"] == "inconclusive; the same difference in every seed leaves no noise to test by"


def test_a_variant_without_a_pair_keeps_its_row(build: Callable) -> None:
    study, trials = build({"MAE": {0: 34.0, 1: 35.0}, "CMAE": {2: 36.0, 3: 36.4}}, seeds=4)
    row = effects_of(study, trials).loc["CMAE"]
    assert row["n"] == 0
    assert row[["mean", "delta", "p"]].isna().all()


def test_holm_covers_only_declared_contrasts_and_calls_the_rest_exploratory(
    build: Callable, noisy: Callable
) -> None:
    declared = (("depth 7", "depth 8"), ("depth 6", "depth 7"))
    study, trials = build(noisy(4, 5), contrasts=declared)
    effects = effects_of(study, trials)
    p_values = [expected_row(trials, *pair)["p"] for pair in declared]
    adjusted = multipletests(p_values, method="holm")[1]
    assert effects.loc["depth 7", "p_holm"] == pytest.approx(adjusted[0], **TIGHT)
    assert effects.loc[["depth 6", "depth 5"], "p_holm"].isna().all()
    assert effects.loc[["depth 6", "depth 5"], "family"].tolist() == ["exploratory", "exploratory"]


def test_a_contrast_between_two_variants_has_a_row_of_its_own(build: Callable, noisy: Callable) -> None:
    declared = (("depth 7", "depth 8"), ("depth 6", "depth 7"))
    study, trials = build(noisy(4, 5), contrasts=declared)
    table = contrasts_table(compare(sort_out(trials, study), METRIC))
    assert list(zip(table["variant"], table["against"], strict=True)) == list(declared)
    expected = expected_row(trials, "depth 6", "depth 7")
    assert table.loc[1, ["n", "delta", "p"]].tolist() == pytest.approx(
        [expected[k] for k in ("n", "delta", "p")], **TIGHT
    )


def test_seeds_added_later_count_and_the_planned_ones_are_shown_alone(
    build: Callable, noisy: Callable
) -> None:
    study, trials = build(noisy(2, 6), seeds=4)
    row = effects_of(study, trials).loc["depth 7"]
    planned = expected_row(trials[trials["seed"] < 4], "depth 7", "depth 8")
    assert (row["n"], row["planned_n"]) == (6, 4)
    assert row["planned_p"] == pytest.approx(planned["p"], **TIGHT)


def test_a_stated_margin_adds_equivalence(build: Callable) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(34, 2, 8)
    study, trials = build(
        {"MAE": list(base), "small": list(base + rng.normal(0, 0.1, 8))}, equivalence_margin=0.5
    )
    row = effects_of(study, trials).loc["small"]
    a, b = (trials.loc[trials["variant"] == v, METRIC].to_numpy() for v in ("small", "MAE"))
    above = stats.ttest_1samp(a - b, -0.5, alternative="greater").pvalue
    below = stats.ttest_1samp(a - b, 0.5, alternative="less").pvalue
    assert row["tost_p"] == pytest.approx(max(above, below), **TIGHT)
    assert "equal within" in row["verdict"]


def test_kept_predictions_add_the_interval_over_seeds_and_images(build: Callable) -> None:
    # Every image has a chance of its own under each variant, the same for all seeds: new images matter.
    rng = np.random.default_rng(3)
    chances = {"MAE": rng.beta(0.5, 1.0, 200), "CMAE": rng.beta(0.5, 0.5, 200)}
    correct = {(v, s): rng.random(200) < own for v, own in chances.items() for s in range(6)}
    values = {v: [100 * correct[v, s].mean() for s in range(6)] for v in ("MAE", "CMAE")}
    study, trials = build(values)
    table = effects_table(compare(sort_out(trials, study), METRIC, correct)).set_index("variant")
    row = table.loc["CMAE"]
    assert row["two_way_low"] < row["ci_low"] < row["ci_high"] < row["two_way_high"]
    assert row["two_way_clusters"] == 200


def test_the_clusters_of_the_images_are_the_sample(build: Callable) -> None:
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(10), 20)
    chances = {"MAE": rng.random(10)[clusters], "CMAE": rng.random(10)[clusters]}
    correct = {(v, s): rng.random(200) < own for v, own in chances.items() for s in range(3)}
    study, trials = build({v: [100 * correct[v, s].mean() for s in range(3)] for v in chances})
    cells = sort_out(trials, study)
    single = compare(cells, METRIC, correct).effects[1].two_way
    clustered = compare(cells, METRIC, correct, clusters=clusters).effects[1].two_way
    assert single is not None
    assert clustered is not None
    assert clustered.clusters == 10
    assert clustered.ci_high - clustered.ci_low > 1.5 * (single.ci_high - single.ci_low)


def test_planned_is_for_the_smallest_difference_of_interest_and_never_for_the_one_seen(
    build: Callable,
) -> None:
    values = {"MAE": [30.0, 31.5, 33.0], "CMAE": [38.0, 42.5, 40.0]}
    seen = effects_of(*build(values)).loc["CMAE"]
    assert seen["delta"] > 8
    assert seen["effect_of_interest"] == 1.0
    assert seen["required_pairs_low"] < seen["required_pairs"] < seen["required_pairs_high"]
    stated = effects_of(*build(values, equivalence_margin=2.5)).loc["CMAE"]
    assert stated["effect_of_interest"] == 2.5
    assert stated["required_pairs"] < seen["required_pairs"]


def test_a_larger_family_needs_more_pairs(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(10, 5))
    (alone,) = compare(sort_out(trials, replace(study, contrasts=(("depth 7", "depth 8"),))), METRIC).declared
    together = compare(sort_out(trials, study), METRIC).effects[1]
    assert (alone.among, together.among) == (1, 9)
    assert together.required_pairs > alone.required_pairs
    assert together.minimum_detectable_effect > alone.minimum_detectable_effect


def test_no_interval_of_an_accuracy_reaches_beyond_what_is_possible(build: Callable) -> None:
    # Differences +20 and -20 from a reference of 25 %: the t interval is 0 +- 12.7 * 20.
    row = effects_of(*build({"MAE": [20.0, 30.0], "CMAE": [40.0, 10.0]})).loc["CMAE"]
    assert (row["ci_low"], row["ci_high"]) == (-100.0, 100.0)
    assert (row["sim_low"], row["sim_high"]) == (-100.0, 100.0)


def test_an_interval_of_another_quantity_is_not_cut(build: Callable) -> None:
    study, trials = build({"MAE": [20.0, 30.0], "CMAE": [40.0, 10.0]}, metric="pretrain.loss", report=())
    trials = trials.rename(columns={METRIC: "pretrain.loss"})
    effect = compare(sort_out(trials, study), "pretrain.loss").effects[1]
    assert effect.paired.ci_low < -250
    assert math.isnan(effect.effect_of_interest)
    assert math.isnan(effect.required_pairs)
    assert effect.minimum_detectable_effect > 0


def test_equal_numbers_are_identical_only_with_equal_weights(build: Callable) -> None:
    values = {"MAE": [25.0, 33.3], "again": [25.0, 33.3], "other": [25.0, 33.3], "unknown": [25.0, 33.3]}
    study, trials = build(values)
    weights = {"MAE": "a", "again": "a", "other": "b", "unknown": ""}
    trials["weights_sha256"] = [
        f"{weights[v]}{s}" if weights[v] else ""
        for v, s in zip(trials["variant"], trials["seed"], strict=True)
    ]
    table = effects_of(study, trials)
    assert table["identical"].to_dict() == {"MAE": False, "again": True, "other": False, "unknown": False}
    assert (table["delta"] == 0).all()


def test_one_encoder_judged_in_two_ways_is_not_identical(build: Callable) -> None:
    plain, mixed = [40.0, 41.0, 40.5], [45.0, 46.5, 45.5]
    study, trials = build(
        {"plain": plain, "mixed": mixed}, evaluations={"decoder": frozenset({"linear_probe"})}
    )
    trials["weights_sha256"] = [f"of seed {seed}" for seed in trials["seed"]]
    table = effects_of(study, trials)
    assert not table["identical"].any()
    assert table.loc["mixed", "p_holm"] < 0.05
    # By what both are judged by in one way they are one encoder.
    assert compare(sort_out(trials, study), "knn.top1").effects[1].identical


@pytest.mark.parametrize("factor", ["decoder", "another"])
def test_equal_weights_in_two_architectures_are_not_identical(build: Callable, factor: str) -> None:
    study, trials = build(
        {"3 heads": [40.0, 41.0, 40.5], "4 heads": [45.0, 46.5, 45.5]}, encodings=frozenset({factor})
    )
    trials["weights_sha256"] = [f"of seed {seed}" for seed in trials["seed"]]
    table = effects_of(study, trials)
    assert table.loc["4 heads", "identical"] == (factor == "another")


def test_an_effect_knows_what_one_test_image_is_worth(build: Callable) -> None:
    study, trials = build({"MAE": [25.0, 100 / 3], "CMAE": [50.0, 250 / 3]})
    effect = compare(sort_out(trials, study), METRIC).effects[1]
    assert effect.one_image == pytest.approx(100 / 12)


def test_predictions_of_another_metric_are_not_used(build: Callable) -> None:
    correct = {(v, s): np.arange(10) < 5 for v in ("MAE", "CMAE") for s in range(2)}
    study, trials = build({"MAE": [34.0, 35.0], "CMAE": [36.0, 36.5]})
    comparison = compare(sort_out(trials, study), METRIC, correct)
    assert all(effect.two_way is None for effect in comparison.effects)


def test_a_planned_comparison_whose_variant_was_removed_stays_in_the_family(
    build: Callable, noisy: Callable
) -> None:
    values = noisy(4, 5)
    planned = tuple((variant, "depth 8") for variant in list(values)[1:])
    whole = effects_of(*build(values))
    del values["depth 5"]
    study, trials = build(values, planned_family=planned)
    left = effects_of(study, trials)
    smallest = left["p"].idxmin()
    # Holm's first step multiplies by the planned three, not by the two that are left.
    assert left.loc[smallest, "p_holm"] == pytest.approx(3 * left.loc[smallest, "p"])
    assert left.loc[smallest, "among"] == whole.loc[smallest, "among"] == 3


def test_a_contrast_added_after_looking_is_compared_outside_the_family(
    build: Callable, noisy: Callable
) -> None:
    study, trials = build(
        noisy(3, 5),
        contrasts=(("depth 7", "depth 8"), ("depth 6", "depth 7")),
        planned_family=(("depth 7", "depth 8"),),
    )
    comparison = compare(sort_out(trials, study), METRIC)
    [added] = comparison.others
    assert (added.variant, added.against, added.family) == ("depth 6", "depth 7", "exploratory")
    assert math.isnan(added.p_holm)
    [declared] = comparison.declared
    assert declared.p_holm == declared.paired.p
