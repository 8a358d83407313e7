"""What several data sets allow to conclude, in sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report.frame import PlanStatus
from cmae_ablate.report.pooled import pooled_study
from cmae_ablate.report.pooled_words import pooled_answer, pooled_note
from cmae_ablate.report.study_part import analyse
from tests.report.pooling import (
    BY_DATA_SET,
    UNSEEN,
    answer_of,
    of_grid,
    part,
    pooled,
    three,
    without_cmae,
    written,
)
from tests.report.sentences import grid, grid_study


def test_two_data_sets_stand_side_by_side_and_claim_nothing(tmp_path: Path) -> None:
    parts = {label: part(label, BY_DATA_SET[label]) for label in ("scenes", "tiny")}
    files = written(parts, tmp_path)
    found = answer_of(files)
    (verdict,) = found["verdicts"]  # type: ignore[misc]
    assert (verdict["verdict"], verdict["delta"], found["pooled"]) == ("inconclusive", None, False)
    assert "needs 3 or more" in files.answer
    assert len(files.table[0]) == 1 + 2


def test_a_data_set_that_cannot_tell_its_positive_control_is_left_out_and_named(tmp_path: Path) -> None:
    parts = {label: part(label, differences) for label, differences in BY_DATA_SET.items()}
    parts["blind"] = part("blind", (0.1, -0.1, 0.0), UNSEEN)
    files = written(parts, tmp_path)
    row = pd.read_csv(files.paths["pooled.csv"]).iloc[0]
    assert (row["datasets"], row["delta"]) == (3, pytest.approx(-3.0))
    assert (row["all_datasets"], row["all_delta"]) == (4, pytest.approx(-2.25))
    assert "blind cannot tell the positive control from the reference; it is left out" in files.answer
    assert "blind" in files.paths["table.md"].read_text().partition("Sensitivity")[2]


def test_the_caption_says_what_is_pooled_and_what_is_promised() -> None:
    parts = [analyse(label, part(label, differences)) for label, differences in BY_DATA_SET.items()]
    note = pooled_note(pooled_study("blocks", parts))
    assert "Pooled is the plain mean over the data sets" in note
    assert "what as many seeds on a new data set of this kind will show" in note
    answer = pooled_answer(pooled_study("blocks", parts[:2]))
    assert answer.headline.startswith("Side by side, nothing pooled")


def test_the_caption_says_how_all_were_trained_once_and_what_differs_with_its_data_sets() -> None:
    equal, tuned = "Equal FLOPs: every variant gets as many.", "Tuned on validation images; lr {} won."
    metric = "linear_probe.top1"

    def note(lr: tuple[str, str, str], protocol: tuple[str, str, str], budget: str) -> str:
        parts = {}
        for label, won, measured in zip(BY_DATA_SET, lr, protocol, strict=True):
            parts[label] = part(
                label,
                BY_DATA_SET[label],
                budget=budget,
                budget_note=equal,
                notes=(equal, tuned.format(won)),
                protocols={metric: measured},
            )
        return pooled_note(pooled(parts))

    first, second, _ = BY_DATA_SET
    told = note(("0.1", "0.1", "0.2"), ("Logistic regression.",) * 3, "flops")
    assert f" Logistic regression. Scale: cpu; 3 planned seeds. {equal} " in told
    assert f" {first} and {second}: Tuned on validation images; lr 0.1 won. own: Tuned on" in told
    told = note(("0.1",) * 3, ("l2 1.", "l2 2.", "l2 1."), "epochs")
    assert "How linear probe top-1 was measured differs: each data set's own report tells it." in told
    assert " Tuned on validation images; lr 0.1 won. " in told
    assert equal not in told
    assert "l2" not in told


def test_what_is_detected_on_every_data_set_may_not_be_of_their_kind_and_the_headline_says_so() -> None:
    differences = {
        "scenes": (-12.0, -13.0, -14.0),
        "animals": (-5.0, -5.5, -6.0),
        "things": (-3.4, -3.6, -3.8),
    }
    parts = [analyse(label, part(label, each)) for label, each in differences.items()]
    answer = pooled_answer(pooled_study("blocks", parts))
    assert "does not differ detectably from" in answer.headline
    assert "on the mean over data sets of this kind" in answer.headline


def test_a_contrast_that_misses_a_data_set_is_named_incomplete_and_concludes_nothing() -> None:
    study = pooled({**three(), "lost": without_cmae("lost")})
    answer = pooled_answer(study)
    assert answer.headline == (
        "\u2018CMAE\u2019 against \u2018MAE\u2019 is incomplete (linear probe top-1, 4 data sets)."
    )
    assert (
        "incomplete, without a paired seed on lost, \u22123.00 points on the mean of 3 data"
        in answer.lines[0]
    )
    assert "Student's over 4 data sets, or over those of them that have a paired seed" in pooled_note(study)
    few = pooled({**{label: three()[label] for label in ("scenes", "tiny")}, "lost": without_cmae("lost")})
    (line,) = pooled_answer(few).lines
    assert "incomplete, not pooled, as only 2 data sets have a paired seed. On each: scenes" in line
    assert "or over those" not in pooled_note(pooled(three()))


def test_data_sets_that_differ_without_noise_of_seeds_are_not_of_unknown_difference() -> None:
    alike = {label: part(label, (d, d, d)) for label, d in {"a": -2.0, "b": -3.0, "c": -4.0}.items()}
    (line,) = pooled_answer(pooled(alike)).lines
    assert "data sets differ (tau 1.00 points), with no noise of seeds to test that by" in line
    assert "unknown" not in line


def test_a_grids_terms_are_told_as_its_own_report_tells_them() -> None:
    study = of_grid({"a": grid(2.0), "b": grid(2.3), "c": grid(2.1, 0.4)}, **grid_study())
    answer = pooled_answer(study)
    assert answer.headline.startswith("Contrastive: \u2018on\u2019 is higher than \u2018off\u2019; ")
    assert answer.lines[0].startswith("contrastive (on \N{MINUS SIGN} off): higher, ")
    assert "against \u2018off" not in answer.text
    assert "has here an interval by its own seeds alone" in pooled_note(study)


def test_plans_of_several_times_say_whose_they_are() -> None:
    parts = {}
    for hour, (label, each) in enumerate(three().items(), start=7):
        plan = PlanStatus(f"2026-11-26T0{hour}:00:00+00:00")
        parts[label] = replace(each, description=replace(each.description, plan=plan))
    note = pooled_note(pooled(parts))
    assert "tiny: Analysis plan of 2026-11-26 08:00 UTC, unchanged." in note
    assert "own: Analysis plan of 2026-11-26 09:00 UTC, unchanged." in note
