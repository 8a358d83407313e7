"""The sentences that stand with a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cmae_ablate.report import ReportExtras
from cmae_ablate.report.caption import (
    caption_note,
    caption_title,
    family_sentence,
    mark_words,
    plan_sentence,
)
from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import Comparison, compare
from cmae_ablate.report.findings import find
from cmae_ablate.report.frame import PlanStatus
from cmae_ablate.report.tables import make_table
from tests.report.conftest import METRIC, build_study

VALUES = {"depth 8": [30.0, 31.0, 32.5], "depth 1": [29.0, 30.5, 31.0], "linear": [20.0, 22.0, 21.5]}


def comparison(**changes: object) -> Comparison:
    description, trials = build_study(VALUES, **changes)
    return compare(sort_out(trials, description), METRIC)


def test_without_a_comparison_nothing_is_said_of_a_correction() -> None:
    description, trials = build_study({"depth 8": VALUES["depth 8"]}, report=())
    assert family_sentence(compare(sort_out(trials, description), METRIC)) == ""


def test_the_title_asks_the_question_and_says_what_differences_are_from() -> None:
    assert caption_title(comparison()) == (
        "How small can the decoder be? Differences are from \u2018depth 8\u2019, paired by seed."
    )


def test_the_note_has_protocol_seeds_plan_and_what_the_caller_adds_each_as_a_sentence() -> None:
    note = caption_note(
        comparison(notes=("One class is missing",)), "Resolution: 1.0", costs=["", "seconds of pretraining"]
    )
    for sentence in (
        "two-sided 95 % t intervals.",
        "Linear probe on the mean patch token after the final norm.",
        "Scale: cpu; 3 planned seeds.",
        "Nothing is known of an analysis plan.",
        "One class is missing.",
        "Resolution: 1.0.",
        "Seconds of pretraining.",
    ):
        assert sentence in note
    assert "FLOPs" not in caption_note(comparison())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Holm's correction covers every variant in the table."),
        (
            {"contrasts": (("linear", "depth 8"),)},
            "Holm's correction covers the study's contrasts; \u2020 exploratory.",
        ),
    ],
)
def test_it_is_said_which_tests_are_corrected(changes: dict[str, object], sentence: str) -> None:
    assert family_sentence(comparison(**changes)) == sentence


def test_contrasts_that_a_design_brings_along_are_not_called_declared() -> None:
    own = "No contrasts are declared, so the design's own are compared."
    note = caption_note(comparison(contrasts=(("linear", "depth 1"),), notes=(own,)))
    assert own in note
    assert "the declared contrasts" not in note


def test_a_caption_names_what_is_equal_as_the_p_of_its_table_is_of_a_difference() -> None:
    # Differences of 'near' are 0.1, -0.1, 0.0: mean 0, error 0.0577, so t = 17.3 from either margin of 1.
    values = {"far": [30.0, 31.0, 32.5], "near": [30.1, 30.9, 32.5], "noisy": [31.0, 29.5, 34.0]}
    description, trials = build_study(values, equivalence_margin=1.0)
    found = compare(sort_out(trials, description), METRIC)
    equal = "Equal within \u00b11.00 points by two one-sided tests, after Holm's correction"
    assert f"{equal}: \u2018near\u2019. " in caption_note(found)
    assert "Equal within" not in caption_note(replace(found, sensitive=False))
    assert "Equal within" not in caption_note(comparison())
    description, trials = build_study(values, equivalence_margin=0.01)
    assert "0.01 points by two one-sided tests, after Holm's correction: none. " in caption_note(
        compare(sort_out(trials, description), METRIC)
    )


@pytest.mark.parametrize("long", [False, True])
def test_the_caption_names_what_is_equal_by_the_very_words_of_the_answer(long: bool) -> None:
    at = ("first decoder of the two", "second decoder of the two") if long else ("a", "b")
    factors = {"decoder": at, "crop": ("plain", "boxes")}
    levels = {f"{one} + {two}": {"decoder": one, "crop": two} for one in at for two in factors["crop"]}
    near = [[30.0, 31.0, 32.5], [30.1, 30.9, 32.5], [30.0, 31.1, 32.4], [30.1, 31.0, 32.4]]
    variants = [*levels]
    description, trials = build_study(
        dict(zip(variants, near, strict=True)),
        factors=factors,
        levels=levels,
        equivalence_margin=1.0,
        contrasts=((variants[1], variants[0]), (variants[3], variants[2])),
    )
    found = find(description, trials, None, ReportExtras())
    first, second = (line.partition(": ")[0] for line in found.answer.lines)
    assert second == (
        "\u2018second decoder of the two + plain\u2019 with \u2018boxes\u2019"
        if long
        else "\u2018b + boxes\u2019 against \u2018b + plain\u2019"
    )
    assert f"after Holm's correction: {first} and {second}. " in caption_note(found.comparison)


def test_a_plan_is_said_to_be_unchanged_or_what_changed_since() -> None:
    assert plan_sentence(PlanStatus("2026-11-26")) == "Analysis plan of 2026-11-26 00:00 UTC, unchanged."
    changed = PlanStatus("2026-11-26", ("seeds 3 -> 5", "margin added"))
    assert plan_sentence(changed) == (
        "Analysis plan of 2026-11-26 00:00 UTC, changed since: seeds 3 -> 5; margin added."
    )


def test_metrics_of_one_evaluation_share_its_sentence_and_several_say_whose_theirs_is() -> None:
    labels, tokens = "All weights trained on train.", "512 test images, labels unread."
    known = {
        "fine_tune.top1": labels,
        "fine_tune.validation_top1": labels,
        "representation.uniformity": tokens,
    }
    alone = comparison(report=("fine_tune.top1", "fine_tune.validation_top1"), protocols=known)
    note = caption_note(alone)
    assert note.count(labels) == 1 and f": {labels}" not in note
    both = caption_note(comparison(report=tuple(known), protocols=known))
    assert f"Fine-tuned top-1 and fine-tuned validation top-1: {labels}" in both
    assert f"Representation uniformity: {tokens}" in both


def test_every_mark_of_a_table_is_explained_and_no_other() -> None:
    assert mark_words(comparison().effects) == ""
    exploratory = comparison(contrasts=(("linear", "depth 8"),))
    assert mark_words(exploratory.effects) == "\u2020 exploratory: not corrected for being one of many"
    added = comparison(seeds=2, contrasts=(("linear", "depth 8"),))
    assert mark_words(added.effects) == f"* includes seeds added later; {mark_words(exploratory.effects)}"


def test_the_caption_explains_the_costs_of_its_columns_and_no_others() -> None:
    description, trials = build_study(VALUES)
    cells = sort_out(trials.drop(columns=["params.encoder", "params.decoder"]), description)
    caption = make_table(compare(cells, METRIC), (), cells, None).caption
    assert caption.endswith(" FLOPs per pretraining image; seconds of pretraining, the median over seeds.")
    assert "arameters" not in caption
