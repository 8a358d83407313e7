"""`--set PATH=VALUE`: texts as typed, and no other value than the one that was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.cli.prepare import prepare_data
from cmae_ablate.cli.weights.source import _changed
from cmae_ablate.components.loading import load_components
from cmae_ablate.errors import UserError
from cmae_ablate.study.assignments import is_text, read_assignment
from cmae_ablate.study.loading import load
from cmae_ablate.study.settings import default_tree
from tests.whole_study import quiet

load_components()
PATHS = [
    "photos #2",
    "a: b",
    "[x]",
    "{x}",
    "null",
    "~",
    "1_000",
    "010",
    "0x10",
    "true",
    "'quoted'",
    '"quoted"',
    " led by a blank",
    "run%41?x#y",
    "100 % of it = all",
    "- a",
    "*x",
    "&x",
    "!x",
    "2026-11-26",
    "é",
    "e\N{COMBINING ACUTE ACCENT}",
    "a\\b",
]


@pytest.mark.parametrize("typed", PATHS)
def test_a_path_is_taken_character_for_character(typed: str, tiny_study: Path) -> None:
    study = load(tiny_study, settings=["dataset.name=folder", f"dataset.source={typed}"])
    assert study.base["dataset"]["source"] == typed


def test_a_text_is_taken_as_typed_whatever_component_it_is_for_later(tiny_study: Path) -> None:
    study = load(tiny_study, settings=["dataset.source=photos #2"])
    assert study.base["dataset"]["source"] == "photos #2"


def test_words_to_choose_from_are_texts(tiny_study: Path) -> None:
    assert load(tiny_study, settings=["training.precision=bf16"]).base["training"]["precision"] == "bf16"
    assert is_text(default_tree(), ("training", "precision"))
    assert not is_text(default_tree(), ("training", "image_size"))


GOOD = {
    "2": 2,
    " 2 ": 2,
    "-2": -2,
    "+2": 2,
    "0": 0,
    "1e-3": 1e-3,
    "1.5e-4": 1.5e-4,
    ".5": 0.5,
    "5.": 5.0,
    "1.10": 1.1,
    "true": True,
    "null": None,
    "~": None,
    "[0.2, 1]": [0.2, 1],
    "{name: linear}": {"name": "linear"},
    "{name: transformer, depth: 2}": {"name": "transformer", "depth": 2},
    "'2 # no comment'": "2 # no comment",
}


@pytest.mark.parametrize("typed", GOOD)
def test_other_values_are_what_they_look_like(typed: str) -> None:
    path, value = read_assignment(f"training.epochs={typed}", default_tree(), example="")
    assert (path, value, type(value)) == (("training", "epochs"), GOOD[typed], type(GOOD[typed]))


BAD = [
    "2 # two",
    "2 #",
    "010",
    "0x10",
    "0o10",
    "1_000",
    "1_0.5",
    ".inf",
    "-.INF",
    ".nan",
    "{a: 1} # x",
    "[1, 0x10]",
    "{depth: 1_000}",
    "{0x10: 1}",
    "a: b",
    "- 2",
    "? a",
    "--- 2",
    "2\n---\n3",
    "{a: 1, # b\n c: 2}",
    '!!int "3"',
    "!!python/name:os.system",
    "&x 2",
    "*x",
    "",
    "  ",
    "9" * 6000,
    "1" * 200 + ".5",
    "'2",
    "@2",
]


@pytest.mark.parametrize("typed", BAD)
def test_a_value_that_yaml_would_cut_or_retype_is_refused_with_its_key(typed: str) -> None:
    with pytest.raises(UserError) as caught:
        read_assignment(f"training.epochs={typed}", default_tree(), example="training.epochs=2")
    # As typed, in one line: a break is written as `\n`, and of what is very long the middle is left out.
    said, shown = str(caught.value), typed.replace("\n", "\\n")
    assert said.startswith(f"--set training.epochs={shown[:100]}")
    assert ": training.epochs" in said
    assert len(said) <= 4000
    assert "\n" not in said


def test_the_same_holds_for_checkpoints_and_for_data(tmp_path: Path) -> None:
    tree = {**default_tree(), "dataset": {"name": "folder"}}
    photos = tmp_path / "photos #2"
    spec = _changed(tree, 0, [f"dataset.source={photos}"], [("dataset",)])
    assert spec["dataset"].options["source"] == str(photos)
    with pytest.raises(UserError, match=r"--set evaluations\.knn\.k=0x10: evaluations\.knn\.k: YAML reads"):
        _changed(tree, 0, ["evaluations.knn.k=0x10"], [("evaluations",)])
    with pytest.raises(UserError, match=r"--set image_size=1_6: image_size: YAML reads '1_6' as 16"):
        prepare_data("folder", str(photos), ["image_size=1_6"], False, quiet())
    with pytest.raises(UserError, match=r"photos #2 does not exist"):
        prepare_data("folder", None, [f"source={photos}"], False, quiet())


def test_a_group_of_settings_is_changed_by_what_is_in_it() -> None:
    with pytest.raises(UserError) as caught:
        _changed(default_tree(), 0, ["evaluations=none"], [("evaluations",)])
    assert str(caught.value) == (
        '--set evaluations=none: a mapping of settings is expected, not "none"; set what is in it, as '
        "evaluations.KEY=VALUE"
    )
