"""No cell is dropped without a word."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cmae_ablate.report.cells import cost_of, cost_ratio, sort_out

PAIR = {"MAE": [34.0, 35.0, 36.0], "CMAE": [35.0, 36.5, 36.2]}


def test_a_balanced_study_has_nothing_to_note(build: Callable) -> None:
    study, trials = build(PAIR)
    assert sort_out(trials, study).notes == ()


def test_missing_and_failed_cells_are_named(build: Callable) -> None:
    study, trials = build(PAIR)
    trials.loc[(trials["variant"] == "CMAE") & (trials["seed"] == 1), "state"] = "FAILED"
    trials = trials.drop(trials.index[(trials["variant"] == "CMAE") & (trials["seed"] == 2)])
    assert "\u2018CMAE\u2019 is incomplete: seed 1 FAILED; seed 2 missing" in sort_out(trials, study).notes


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_complete_cell_without_a_finite_metric_is_named(value: float, build: Callable) -> None:
    study, trials = build(PAIR)
    trials.loc[4, "linear_probe.top1"] = value
    cells = sort_out(trials, study)
    assert "\u2018CMAE\u2019 is incomplete: seed 1 complete but without linear_probe.top1" in cells.notes
    assert cells.by_seed("linear_probe.top1")["CMAE"].notna().sum() == 2


def test_an_unpaired_cell_is_named(build: Callable) -> None:
    study, trials = build(PAIR)
    notes = sort_out(trials.drop(index=0), study).notes
    assert any("\u2018CMAE\u2019 seed 0 unpaired" in note for note in notes)


def test_seeds_beyond_the_plan_are_called_added_later(build: Callable) -> None:
    study, trials = build(PAIR, seeds=2)
    cells = sort_out(trials, study)
    assert cells.added_seeds == {2}
    assert any(note.startswith("seed 2 added later") for note in cells.notes)


def test_a_variant_that_the_study_does_not_know_is_left_out_aloud(build: Callable) -> None:
    study, trials = build({**PAIR, "extra": [1.0, 2.0, 3.0]}, variants=("MAE", "CMAE"))
    cells = sort_out(trials, study)
    assert "\u2018extra\u2019 (3 rows) is no variant here; left out" in cells.notes
    assert set(cells.rows["variant"]) == {"MAE", "CMAE"}


def test_a_variant_without_any_row_is_named(build: Callable) -> None:
    study, trials = build(PAIR, variants=("MAE", "CMAE", "linear"))
    assert "\u2018linear\u2019 has no row at all" in sort_out(trials, study).notes


def test_a_contrast_of_an_unknown_variant_is_named(build: Callable) -> None:
    study, trials = build(PAIR, contrasts=(("CMAE", "linear"),))
    assert any(
        "\u2018CMAE\u2019 against \u2018linear\u2019 left out" in note
        for note in sort_out(trials, study).notes
    )


def test_another_fingerprint_is_noted(build: Callable) -> None:
    study, trials = build(PAIR, fingerprints={("CMAE", 1): "expected"})
    assert any(
        "\u2018CMAE\u2019 seed 1: not the study's fingerprint" in note
        for note in sort_out(trials, study).notes
    )


def test_another_level_is_noted(build: Callable) -> None:
    study, trials = build(PAIR)
    trials.loc[3, "decoder"] = "depth 3"
    assert "'decoder' has other levels than in the study for CMAE" in sort_out(trials, study).notes


def test_mixed_hardware_is_said(build: Callable) -> None:
    study, trials = build(PAIR)
    trials["hardware"] = ["CPU"] * 3 + ["GPU"] * 3
    assert any("mixed hardware: CPU and GPU" in note for note in sort_out(trials, study).notes)


def test_an_empty_fingerprint_is_said(build: Callable) -> None:
    study, trials = build(PAIR)
    trials.loc[4, "fingerprint"] = ""
    notes = sort_out(trials, study).notes
    assert "\u2018CMAE\u2019 seed 1 without a fingerprint: nothing shows how trained" in notes
    assert (
        "no column 'fingerprint': nothing shows how the cells were trained"
        in sort_out(trials.drop(columns="fingerprint"), study).notes
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [("params.encoder", 999_000.0), ("seconds.pretrain", 20.0), ("flops.pretrain_image", 1e9)],
)
def test_a_seed_whose_cost_shows_another_training_is_said(column: str, value: float, build: Callable) -> None:
    study, trials = build(PAIR)
    trials.loc[4, column] = value
    [note] = sort_out(trials, study).notes
    assert note.startswith(f"\u2018CMAE\u2019 seed 1: {column} is {value:,.0f} where ")


def test_what_the_odd_seeds_are_beside_is_named_as_the_median_that_it_is(build: Callable) -> None:
    # Two of five are odd beside the third in order, 603, which the other two of these seeds do not have.
    study, trials = build({"MAE": [34.0] * 5, "CMAE": [35.0, 36.5, 36.2, 36.0, 35.5]})
    trials.loc[trials["variant"] == "CMAE", "seconds.pretrain"] = [609.0, 603.0, 176.0, 180.0, 970.0]
    [note] = sort_out(trials, study).notes
    assert "seeds 2-3: seconds.pretrain is 176 and 180 where the median of its seeds is 603" in note


def test_of_two_seeds_the_costs_that_are_told_are_those_that_they_have(build: Callable) -> None:
    study, trials = build({"MAE": [30.0, 31.0], "CMAE": [32.0, 33.0]})
    trials.loc[trials["variant"] == "CMAE", "flops.pretrain_image"] = [2_000.0, 1_000.0]
    [note] = sort_out(trials, study).notes
    assert note == (
        "\u2018CMAE\u2019 seed 0: flops.pretrain_image is 2,000 where its other seeds have 1,000; "
        "trained otherwise?"
    )


def test_seeds_with_settings_of_their_own_may_cost_what_they_cost(build: Callable) -> None:
    study, trials = build(PAIR, tunes_each_seed=True)
    trials.loc[4, ["flops.pretrain_image", "seconds.pretrain", "params.decoder"]] = [1e9, 1e4, 5e6]
    assert sort_out(trials, study).notes == ()


def test_equal_time_is_not_claimed_beside_other_times(build: Callable) -> None:
    study, trials = build(
        PAIR, budget="time", budget_note="Equal time for all.", notes=("Equal time for all.",)
    )
    trials.loc[trials["variant"] == "CMAE", "seconds.pretrain"] *= 9
    cells = sort_out(trials, study)
    assert any(
        "asks for equal time" in note and "no comparison at equal time" in note for note in cells.notes
    )
    assert "Equal time for all." not in cells.description.notes
    kept = sort_out(build(PAIR)[1], study)
    assert kept.description.notes == ("Equal time for all.",)


def test_a_device_missing_on_one_side_is_said(build: Callable) -> None:
    study, trials = build(PAIR)
    trials["device"] = ["cpu"] * 3 + [""] * 3
    assert (
        "\u2018CMAE\u2019 seeds 0-2: device unknown, so seconds may not compare"
        in sort_out(trials, study).notes
    )


def test_accuracies_that_may_all_be_fractions_are_questioned(build: Callable) -> None:
    study, trials = build({"MAE": [0.34, 0.35], "CMAE": [0.36, 0.37]})
    assert any("multiply fractions by 100" in note for note in sort_out(trials, study).notes)


def test_a_cell_without_a_further_metric_is_named(build: Callable) -> None:
    study, trials = build(PAIR)
    trials.loc[(trials["variant"] == "CMAE") & (trials["seed"] > 0), "knn.top1"] = float("nan")
    [note] = sort_out(trials, study).notes
    assert note == "\u2018CMAE\u2019 seeds 1-2 without knn.top1: what is shown of it leaves them out"


def test_a_label_with_an_apostrophe_is_quoted_so_that_its_end_is_seen(build: Callable) -> None:
    study, trials = build({"MAE's decoder": [34.0, 35.0], "the author's": [35.0, 36.5]})
    notes = sort_out(trials.drop(index=3), study).notes
    assert notes == ("\u2018the author's\u2019 is incomplete: seed 1 missing",)


def test_equal_time_of_cells_trained_elsewhere_is_neither_claimed_nor_denied(build: Callable) -> None:
    study, trials = build(
        PAIR,
        budget="time",
        budget_note="Equal time for all.",
        notes=("Equal time for all.",),
        imported={("MAE", seed): "1" for seed in range(3)},
    )
    trials.loc[trials["variant"] == "CMAE", "seconds.pretrain"] *= 9
    cells = sort_out(trials, study)
    assert cells.notes == (
        "the study asks for equal time, yet \u2018CMAE\u2019 and the reference were not trained on the same "
        "machine; whether they had equal time cannot be said",
    )
    assert "Equal time for all." not in cells.description.notes


def test_seconds_of_a_seed_trained_elsewhere_show_no_other_training(build: Callable) -> None:
    study, trials = build(PAIR, imported={("CMAE", 1): "1"})
    trials.loc[4, "seconds.pretrain"] = 20.0
    assert sort_out(trials, study).notes == ()


def test_one_cell_that_waited_for_others_makes_no_variant_slow(build: Callable) -> None:
    study, trials = build({"MAE": [34.0, 35, 36, 37, 38], "CMAE": [35.0, 36, 37, 38, 39]})
    trials["seconds.pretrain"] = [10.0, 11, 12, 13, 80, 20, 22, 24, 26, 28]
    cells = sort_out(trials, study)
    assert cost_of(cells, "seconds.pretrain", "MAE") == 12
    assert cost_ratio(cells, "seconds.pretrain", "CMAE", "MAE") == 2
