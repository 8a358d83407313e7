"""Variants without a detectable gain over an encoder before any training."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from cmae_ablate.report.baseline_check import baseline_check
from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from tests.report.conftest import METRIC

VALUES = {"MAE": [30.0, 32.0, 31.0], "CMAE": [34.0, 36.0, 35.2]}


def said(build: Callable, rows: list[tuple[str, str, float | None, float]]) -> list[str]:
    study, trials = build(VALUES)
    controls = pd.DataFrame(rows, columns=["control", "variant", "seed", METRIC])
    return list(baseline_check(compare(sort_out(trials, study), METRIC), controls))


def untrained(*values: float, owner: str = "") -> list[tuple[str, str, float | None, float]]:
    return [("random init", owner, float(seed), value) for seed, value in enumerate(values)]


def test_who_does_not_beat_the_untrained_encoder_is_named_with_what_to_do(build: Callable) -> None:
    [note] = said(build, untrained(31.0, 33.0, 32.4))
    assert note.startswith("\u2018MAE\u2019 (\u22121.13 points [")
    assert "before any training" in note
    assert "train longer" in note
    assert "CMAE" not in note


def test_a_larger_mean_alone_is_no_gain(build: Callable) -> None:
    # MAE is 1.00 above on average, by differences of 4, -1 and 0: p = 0.58 by hand.
    [note] = said(build, untrained(26.0, 33.0, 31.0))
    assert note.startswith("\u2018MAE\u2019 (+1.00 points [")


def test_pairing_by_seed_detects_what_two_means_would_hide(build: Callable) -> None:
    # Spread over seeds 1.0, difference 0.5 in each to within 0.1.
    assert said(build, untrained(29.5, 31.4, 30.6)) == []


def test_a_control_of_its_own_encoder_counts_for_its_variant_alone(build: Callable) -> None:
    [note] = said(
        build, [*untrained(40.0, 41.0, 42.0, owner="CMAE"), *untrained(20.0, 21.2, 20.5, owner="MAE")]
    )
    assert note.startswith("\u2018CMAE\u2019 ")


def test_a_reference_level_with_raw_pixels_is_named(build: Callable) -> None:
    [note] = said(build, [("raw pixels", "", None, 31.0)])
    assert note.startswith("\u2018MAE\u2019 (0.00 points")
    assert "raw pixels" in note


def test_a_detected_loss_is_not_called_a_gain_that_is_missing(build: Callable) -> None:
    # MAE is 9.0, 9.2 and 8.9 below: a deviation of 0.15, far from 0. CMAE is 5.0, 5.2 and 4.7 below.
    rows = [*untrained(39.0, 41.2, 39.9), ("raw pixels", "", None, 50.0)]
    told, pixels = said(build, rows)
    assert told.startswith("\u2018MAE\u2019 (\u22129.03 points [")
    assert "and \u2018CMAE\u2019 (\u22124.97 points [" in told
    assert ": detectably worse in linear probe top-1 than the same encoder before any training; " in told
    assert pixels.endswith(": detectably worse in linear probe top-1 than raw pixels")
    level = said(build, [("raw pixels", "", None, 31.0)])
    assert level[0].endswith(": no detectable gain in linear probe top-1 over raw pixels")


def test_without_controls_nothing_is_said(build: Callable) -> None:
    study, trials = build(VALUES)
    assert list(baseline_check(compare(sort_out(trials, study), METRIC), None)) == []


def test_an_interval_over_a_control_is_cut_where_no_two_accuracies_can_be(build: Callable) -> None:
    # Differences -16, 79 and -11: mean 17.33, deviation 53.45, half-width 4.303 * 53.45 / sqrt(3) = 132.8.
    study, trials = build({"MAE": [3.0, 99.0, 9.0]})
    rows = pd.DataFrame(untrained(19.0, 20.0, 20.0), columns=["control", "variant", "seed", METRIC])
    [note] = baseline_check(compare(sort_out(trials, study), METRIC), rows)
    assert note.startswith("\u2018MAE\u2019 (+17.33 points [\u2212100.00, +100.00])")
