"""Variants that are no better than an encoder before any training."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.untaught import untaught
from tests.report.conftest import METRIC


def told(build: Callable, rows: list[tuple[str, str, float]]) -> list[str]:
    study, trials = build({"MAE": [30.0, 32.0], "CMAE": [34.0, 36.0]})
    controls = pd.DataFrame(rows, columns=["control", "variant", METRIC])
    return list(untaught(compare(sort_out(trials, study), METRIC), controls))


def test_who_does_not_beat_the_untrained_encoder_is_named_with_what_to_do(build: Callable) -> None:
    [note] = told(build, [("random init", "", 31.0), ("random init", "", 33.0), ("raw pixels", "", 90.0)])
    assert note.startswith("'MAE': no better on average than the encoder before any training (32.00)")
    assert "train longer" in note


def test_an_equal_mean_is_no_better_whatever_its_last_bit(build: Callable) -> None:
    [note] = told(build, [("random init", "", 31.0 - 1e-14)])
    assert note.startswith("'MAE': ")


def test_nothing_is_said_where_all_beat_it(build: Callable) -> None:
    assert told(build, [("random init", "", 20.0), ("raw pixels", "", 90.0)]) == []


def test_a_control_of_its_own_encoder_counts_for_its_variant_alone(build: Callable) -> None:
    [note] = told(build, [("random init", "CMAE", 40.0), ("random init", "MAE", 20.0)])
    assert note.startswith("'CMAE': ")


def test_without_controls_nothing_is_said(build: Callable) -> None:
    study, trials = build({"MAE": [30.0], "CMAE": [34.0]})
    assert list(untaught(compare(sort_out(trials, study), METRIC), None)) == []
    assert told(build, []) == []
