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
from tests.tiny import TINY_STUDY

BLOCKS = "datasets:\n  here: {name: scenes}\n  there: {name: scenes, seed: 1}\n"


def blocks(path: Path, added: str = BLOCKS, study: str = TINY_STUDY) -> Path:
    path.write_text(study + added)
    return path


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


def test_options_of_one_data_set_are_set_by_its_label(tiny_study: Path) -> None:
    path, text = blocks(tiny_study), ["datasets.there.num_train=96"]
    here, there = (load(path, dataset=label, settings=text) for label in ("here", "there"))
    assert (here.base["dataset"]["num_train"], there.base["dataset"]["num_train"]) == (64, 96)


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
    ("added", "words"),
    [
        ("datasets:\n  here: {name: scenes}\n", "two data sets or more are expected"),
        ("datasets: [scenes]\n", "data sets are expected, as LABEL: {name: ...}"),
        (
            "datasets:\n  a/b: {name: scenes}\n  c: {name: scenes, seed: 1}\n",
            "a folder is named by this label",
        ),
        ("datasets:\n  a: {name: scenes}\n  A: {name: scenes, seed: 1}\n", "for one folder; rename one"),
        ("datasets:\n  a: {name: scenes}\n  b: {name: scenes, seed: 0}\n", "the data set 'a' once more"),
        ("datasets:\n  a: {name: scenes}\n  b: {name: skenes}\n", "no dataset is called 'skenes'"),
        (BLOCKS + "set: {dataset: {seed: 4}}\n", "datasets says what is trained on"),
        (BLOCKS + "precision: 1.0\nmax_seeds: 5\n", "use a fixed number of seeds"),
        ("redraw_data: true\nprecision: 1.0\nmax_seeds: 5\n", "use a fixed number of seeds"),
        ("redraw_data: true\nbudget: flops\n", "use budget: epochs"),
        ("redraw_data: 1\n", "true or false is expected"),
    ],
)
def test_what_cannot_be_a_study_on_several_data_sets_is_refused(
    tiny_study: Path, added: str, words: str
) -> None:
    path = blocks(tiny_study, added)
    with pytest.raises(UserError) as caught:
        Options(path).check()
    assert words in str(caught.value)


def test_a_level_cannot_change_what_a_block_is_trained_on(tiny_study: Path) -> None:
    study = TINY_STUDY.replace("path: decoder", "path: .").replace(
        "linear: {name: linear}", "linear: {decoder: linear, dataset.seed: 3}"
    )
    study = study.replace("depth 1: {name: transformer, depth: 1}", "depth 1: {decoder: {depth: 1}}")
    with pytest.raises(UserError, match="a level cannot change it"):
        Options(blocks(tiny_study, study=study)).check()


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


def test_a_study_of_one_data_set_has_none_to_choose_from(tiny_study: Path) -> None:
    with pytest.raises(UserError, match="leave the option out"):
        load(tiny_study, dataset="here")


def test_another_scale_that_is_called_as_a_data_set_is_refused(tiny_study: Path) -> None:
    path = blocks(tiny_study, BLOCKS.replace("there", "hour"))
    assert load(path, dataset="hour").name == f"{path.stem}-hour"
    with pytest.raises(UserError, match="'hour' is called as the scale is"):
        load(path, scale="hour", dataset="here")


def test_data_without_a_seed_cannot_be_drawn_anew(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY + "redraw_data: true\n")
    study = load(tiny_study, settings=["dataset.name=tiny_imagenet"])
    with pytest.raises(UserError, match="'tiny_imagenet' has no seed to draw by"):
        design.variants(study)


def test_draws_of_neighbouring_data_sets_share_no_seed(tiny_study: Path) -> None:
    path = blocks(tiny_study)
    drawn = [
        {
            design.variants(load(path, dataset=x))[0].spec["dataset"].drawn_for(s).options["seed"]
            for s in range(5)
        }
        for x in ("here", "there")
    ]
    assert drawn[0] == {0, 1, 2, 3, 4}
    assert not drawn[0] & drawn[1]
