"""What keys of a study file cannot say together."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner.options import Options
from cmae_ablate.study.loading import load
from tests.study.blocks import BLOCKS, blocks
from tests.tiny import TINY_STUDY


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


SEARCH = "search: {trials: 2, metric: %s, space: {training.base_lr: [0.001, 0.01]}}\n"


def searching(study: Path, metric: str, searched: str) -> Path:
    text = TINY_STUDY.replace("design: one_factor", "design: [search, one_factor]")
    study.write_text(text.replace("metric: knn.top1", f"metric: {metric}") + SEARCH % searched)
    return study


@pytest.mark.parametrize("searched", ["knn.validation_top1", "linear_probe.validation_top1"])
def test_a_table_is_not_judged_by_the_images_that_its_settings_were_chosen_by(
    tiny_study: Path, searched: str
) -> None:
    study = searching(tiny_study, "knn.validation_top1", searched)
    line = next(n for n, text in enumerate(study.read_text().splitlines(), 1) if text.startswith("metric:"))
    with pytest.raises(UserError) as caught:
        load(study)
    assert str(caught.value).startswith(f"{study}:{line}:1: metric: the search chooses settings by")
    assert str(caught.value).endswith("name the metric on test images, as knn.top1")


def test_a_search_by_validation_images_and_a_table_by_test_images_go_together(tiny_study: Path) -> None:
    study = load(searching(tiny_study, "knn.top1", "knn.validation_top1"))
    assert study.search is not None
    assert (study.metric, study.search.metric) == ("knn.top1", "knn.validation_top1")


def test_without_a_search_a_table_may_be_judged_by_validation_images(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY.replace("metric: knn.top1", "metric: knn.validation_top1"))
    assert load(tiny_study).metric == "knn.validation_top1"
