"""Mistakes in a study file: the very value's line and column, its key, and what to do, in plain words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.loading import load
from tests.tiny import TINY_STUDY

SEARCHED = TINY_STUDY.replace("design: one_factor", "design: search") + (
    "search:\n  metric: knn.validation_top1\n  space:\n    training.base_lr: {low: 0.1, high: 1}\n"
)
END = TINY_STUDY.count("\n") + 1
"""The line after the tiny study's last."""

MISTAKES = {
    "set, nested": ("set: {training: {epochs: 0}}", 18, "set.training.epochs", "0 does not fit"),
    "set, dotted": ("set: {training.epochs: 0}", 7, "set.training.epochs", "greater than or equal to 1"),
    "set, unknown": ("set: {training.epoch: 3}", 7, "set.training.epoch", "did you mean 'epochs'?"),
    "set, nowhere": ("set: {trainin: 3}", 7, "set.trainin", "a trial has no such key"),
    "set, too deep": ("set: {decoder.depth.x: 3}", 7, "set.decoder.depth.x", "options have no parts"),
    "set, misspelt word": ("set: {decoder: liner}", 7, "set.decoder", "did you mean 'linear'?"),
    "set, no word": ("set: {decoder: {name: 3}}", 17, "set.decoder.name", "is a word, not 3"),
    "set, item of a list": ("set: {crop: {scale: [0.2, 2]}}", 27, "set.crop.scale.1", "2 does not fit"),
    "set, too short a list": ("set: {crop: {scale: [1]}}", 14, "set.crop.scale", "more values are expected"),
    "set, an empty list": (
        "set: {evaluations: {linear_probe: {l2: []}}}",
        36,
        "set.evaluations.linear_probe.l2",
        "1 or more values are expected",
    ),
    "set, no mapping": ("set: 3", 1, "set", "a mapping of settings is expected, not 3"),
    "report": ("report: knn.top1", 1, "report", "a list of texts is expected"),
    "contrasts": ("contrasts: [[linear]]", 13, "contrasts.0", "two variants are expected"),
    "budget": ("budget: epoch", 1, "budget", "did you mean 'epochs'?"),
    "margin": ("equivalence_margin: -1", 1, "equivalence_margin", "a positive number of points"),
    "margin, in quotes": (
        "equivalence_margin: '1'",
        1,
        "equivalence_margin",
        "a positive number of points is expected, not the text '1': quotes make it one; remove them",
    ),
    "precision, in quotes": ("precision: '0.5'", 1, "precision", "not the text '0.5': quotes make it one"),
    "precision, a word": ("precision: high", 1, "precision", 'number of points is expected, not "high"'),
    "most seeds": ("max_seeds: 2.5", 1, "max_seeds", "a number of seeds from 3 to 100 is expected, not 2.5"),
    "keep": ("keep: everything", 1, "keep", "choose from: model, all"),
    "search": ("search: {space: {}}", 10, "search.space", "the keys to tune are expected"),
    "search, unknown": ("search: {spce: {}}", 10, "search.spce", "did you mean 'space'?"),
    "search, empty": (
        "search:",
        1,
        "search",
        "a search is made of keys, and nothing is given; give space, see studies/ for examples",
    ),
    "search, no mapping": ("search: 3", 1, "search", "a search is made of keys, and 3 has none; give space"),
    "search, trials in quotes": (
        "search: {trials: '6', space: {training.base_lr: [1]}}",
        10,
        "search.trials",
        "the text '6': quotes",
    ),
    "search, missing": ("search: {}", 1, "search.space", "this key is missing; add it"),
    "search, of tables": (
        "search: {space: {training.base_lr: [1]}, metric: knn.top1}",
        42,
        "search.metric",
        "validation data is expected",
    ),
    "search, no number": (
        "search: {space: {training.base_lr: {low: x, high: 1}}}",
        37,
        "search.space.training.base_lr.low",
        "valid number",
    ),
    "search, twice": (
        "search: {space: {training.base_lr: [1, 1.0]}}",
        18,
        "search.space.training.base_lr",
        "a choice stands there twice",
    ),
}


def said(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        design.variants(load(path))
    return str(caught.value)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_said_at_the_very_value(name: str, tiny_study: Path) -> None:
    line, column, key, words = MISTAKES[name]
    text = said(tiny_study, f"{TINY_STUDY}{line}\n")
    assert text.startswith(f"{tiny_study}:{END}:{column}: {key}: "), text
    assert words in text


@pytest.mark.parametrize("name", MISTAKES)
def test_no_word_of_the_library_is_seen(name: str, tiny_study: Path) -> None:
    text = said(tiny_study, f"{TINY_STUDY}{MISTAKES[name][0]}\n")
    for theirs in (
        "Input should",
        "Value error",
        "pydantic",
        "validation error",
        "Extra inputs",
        "Field req",
    ):
        assert theirs not in text


def test_a_level_is_refused_though_a_later_one_would_replace_it(tiny_study: Path) -> None:
    text = f"{TINY_STUDY}set: {{decoder: {{name: transformer, depth: 0}}}}\n"
    both = text.replace("{name: transformer, depth: 1}", "{name: cross_attention}")
    assert "set.decoder.depth: 0 does not fit" in said(tiny_study, both)


def test_a_mistake_that_only_the_whole_trial_shows_is_said_where_it_was_written(tiny_study: Path) -> None:
    # `reach` is an option of a linear decoder; the scale's is a transformer.
    text = TINY_STUDY.replace("depth 1: {name: transformer, depth: 1}", "depth 1: {reach: 2}")
    assert said(tiny_study, text).startswith(f"{tiny_study}:8:17: factors.decoder.levels.depth 1.reach: ")
    text = f"{TINY_STUDY}set: {{backbone.reach: 3}}\n"
    assert said(tiny_study, text).startswith(f"{tiny_study}:{END}:7: set.backbone.reach: ")


def test_keys_are_checked_before_components_are_looked_at(
    tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_early() -> None:
        pytest.fail("components are imported, which takes seconds")

    monkeypatch.setattr("cmae_ablate.study.trial_keys.load_components", too_early)
    assert "sede: a study has no such key" in said(tiny_study, TINY_STUDY.replace("seeds:", "sede:"))
    assert "seeds: this key is missing" in said(tiny_study, TINY_STUDY.replace("seeds: 2\n", ""))


def test_a_scale_is_checked_as_a_study_is(tiny_study: Path) -> None:
    scale = tiny_study.parent / "scales" / "tiny.yaml"
    scale.write_text(f"{scale.read_text()}masking:\n  name: random\n  ratio: 1\n")
    text = said(tiny_study, TINY_STUDY)
    assert text.startswith(f"{scale}:8:3: masking.ratio: 1 does not fit: it should be less than 1"), text


def test_half_a_character_is_refused(tiny_study: Path) -> None:
    text = said(
        tiny_study, TINY_STUDY.replace("Does the", '"Does \\ud800 the').replace("matter?", 'matter?"')
    )
    assert text.startswith(f"{tiny_study}:1:11: half of a character")
    assert sys.getdefaultencoding() == "utf-8"


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ("[{name: transformer}, {name: linear}]", "a list of levels has plain values only"),
        ("[linear, [1]]", "write these without its dashes or brackets, each as LABEL: VALUE"),
        ("[]", "at least one level is needed, as LABEL: VALUE"),
        ("{}", "at least one level is needed, as LABEL: VALUE"),
    ],
)
def test_levels_in_a_list_that_has_no_labels_for_them_are_said_to_be_so(
    levels: str, words: str, tiny_study: Path
) -> None:
    begin, end = TINY_STUDY.index("    levels:"), TINY_STUDY.index("reference:")
    text = said(tiny_study, f"{TINY_STUDY[:begin]}    levels: {levels}\n{TINY_STUDY[end:]}")
    assert text.startswith(f"{tiny_study}:7:5: factors.decoder.levels: ")
    assert words in text


def test_a_number_of_seeds_in_quotes_is_shown_with_them(tiny_study: Path) -> None:
    text = said(tiny_study, TINY_STUDY.replace("seeds: 2", "seeds: '2'"))
    assert text == (
        f"{tiny_study}:11:1: seeds: a number of seeds from 1 to 1000 is expected, not the text '2': quotes "
        "make it one; remove them"
    )
