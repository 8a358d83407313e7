"""Several data sets in one study file: an ordinary study each, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner.options import Options
from cmae_ablate.study import design
from cmae_ablate.study.data_sets import labels_of
from cmae_ablate.study.loading import load
from cmae_ablate.study.resolved import resolved_file
from tests.study.blocks import BLOCKS, blocks


def fingerprints(path: Path, **options: object) -> list[str]:
    study = load(path, **options)  # type: ignore[arg-type]
    return [variant.spec.fingerprint("data") for variant in design.variants(study)]


def test_each_data_set_is_a_study_of_its_own_with_the_scales_other_options(tiny_study: Path) -> None:
    path = blocks(tiny_study)
    assert labels_of(path) == ("here", "there")
    here, there = (load(path, dataset=label) for label in ("here", "there"))
    assert (here.name, there.name) == (f"{path.stem}-here", f"{path.stem}-there")
    assert here.group == there.group == path.stem
    # The scale's sizes stay where the data set keeps its name.
    assert there.base["dataset"] == {**here.base["dataset"], "seed": 1}
    assert there.base["dataset"]["num_train"] == 64


def test_a_block_is_trained_as_the_study_that_names_its_data_set_alone(tiny_study: Path) -> None:
    alone = fingerprints(tiny_study, settings=["dataset.seed=1"])
    assert fingerprints(blocks(tiny_study), dataset="there") == alone


def test_the_resolved_file_of_a_block_is_that_study(tiny_study: Path) -> None:
    path = blocks(tiny_study, BLOCKS + "redraw_data: true\n")
    again = tiny_study.with_name("again.yaml")
    again.write_text(resolved_file(load(path, dataset="there")))
    assert fingerprints(again) == fingerprints(path, dataset="there")
    assert load(again).redraws


def test_the_options_of_a_command_are_one_a_data_set(tiny_study: Path) -> None:
    options = Options(blocks(tiny_study))
    assert [part.load().name for part in options.parts] == [
        f"{tiny_study.stem}-{x}" for x in ("here", "there")
    ]
    assert options.name == tiny_study.stem
    assert options.parts[1].arguments()[-2:] == ["--dataset", "there"]
    with pytest.raises(UserError, match=r"--cell: this study has several data sets.*--dataset here"):
        options.alone("--cell")


def test_all_data_sets_are_checked_before_anything_is_done(tiny_study: Path) -> None:
    path = blocks(tiny_study, BLOCKS.replace("seed: 1", "seed: -1"))
    with pytest.raises(UserError, match=r"datasets\.there"):
        Options(path).check()


@pytest.mark.parametrize(
    ("dataset", "settings", "words"),
    [
        (None, (), "this study has several data sets; name one, as in --dataset here"),
        ("their", (), "--dataset their: the study has no such data set"),
        ("here", ("dataset.seed=4",), "as in --set datasets.here.seed=4"),
        ("here", ("datasets.their.seed=4",), "the study has no such data set"),
    ],
)
def test_what_the_command_line_cannot_mean_is_refused(
    tiny_study: Path, dataset: str | None, settings: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        load(blocks(tiny_study), dataset=dataset, settings=settings)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("datasets.there.sed=4", "--set datasets.there.sed=4"),
        ("datasets.there.seed=-1", "--set datasets.there.seed=-1"),
        ("datasets.there.seed=", "--set datasets.there.seed=: datasets.there.seed: a value is expected"),
        ("datasets.there.seed", "--set datasets.there.seed: PATH=VALUE is expected"),
        ("datasets.there.seed.x=3", "--set datasets.there.seed.x=3"),
        ("datasets.there=[1]", "--set datasets.there=[1]"),
        ("datasets.there.name=nowhere", "--set datasets.there.name=nowhere"),
    ],
)
def test_the_place_of_a_mistake_in_a_set_is_what_was_typed(tiny_study: Path, typed: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        design.variants(load(blocks(tiny_study), dataset="there", settings=[typed]))
    assert str(caught.value).startswith(words)
    assert "dataset." not in str(caught.value)


def test_a_study_of_one_data_set_has_none_to_choose_from(tiny_study: Path) -> None:
    with pytest.raises(UserError, match="leave the option out"):
        load(tiny_study, dataset="here")


def test_another_scale_that_is_called_as_a_data_set_is_refused(tiny_study: Path) -> None:
    path = blocks(tiny_study, BLOCKS.replace("there", "hour"))
    assert load(path, dataset="hour").name == f"{path.stem}-hour"
    with pytest.raises(UserError, match="'hour' is called as the scale is"):
        load(path, scale="hour", dataset="here")
