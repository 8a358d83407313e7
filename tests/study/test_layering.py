"""Scale, study, data set, command line: what is laid over what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cmae_ablate.study.layering import Factor
from cmae_ablate.study.loading import load
from cmae_ablate.study.yaml_source import TextOrigin
from tests.study.blocks import blocks


def test_a_factor_knows_which_evaluations_it_sets() -> None:
    origin = TextOrigin("a test")
    recipe = {"plain": {"name": "fine_tune", "mixup": 0.0}, "mixed": {"name": "fine_tune", "mixup": 0.8}}
    of_path = Factor("recipe", ("evaluations", "fine_tune"), recipe, origin)
    of_option = Factor("mixup", ("evaluations", "fine_tune", "mixup"), {"0": 0.0, "0.8": 0.8}, origin)
    of_several = Factor("both", (), {"a": {}, "b": {"evaluations.knn.k": 5, "decoder.depth": 2}}, origin)
    of_training = Factor("decoder", ("decoder",), {"linear": {"name": "linear"}}, origin)
    wrong = Factor("wrong", (), {"a": {"no_such_key": 1}}, origin)
    found = [factor.evaluations for factor in (of_path, of_option, of_several, of_training, wrong)]
    assert found == [{"fine_tune"}, {"fine_tune"}, {"knn"}, set(), set()]


@pytest.mark.parametrize(
    ("path", "levels", "expected"),
    [
        ("backbone.heads", {"3": 3, "4": 4}, True),
        ("backbone", {"file": {"name": "checkpoint", "path": "mae.pth", "heads": 3}}, True),
        ("dataset.num_test", {"320": 320, "640": 640}, True),
        ("training.precision", {"fp32": "fp32", "bf16": "bf16"}, True),
        ("training", {"small": {"image_size": 32}, "same": {}}, True),
        ("", {"plain": {}, "one head": {"backbone.heads": 1}}, True),
        ("decoder", {"linear": {"name": "linear"}}, False),
        ("training.epochs", {"1": 1, "2": 2}, False),
        ("evaluations.knn.k", {"3": 3, "5": 5}, False),
        ("", {"wrong": {"no_such_key": 1}}, False),
    ],
)
def test_a_factor_knows_whether_it_sets_what_equal_weights_compute(
    path: str, levels: dict[str, Any], expected: bool
) -> None:
    keys = tuple(path.split(".")) if path else ()
    assert Factor("f", keys, levels, TextOrigin("a test")).sets_encoding == expected


def test_options_of_one_data_set_are_set_by_its_label(tiny_study: Path) -> None:
    path, text = blocks(tiny_study), ["datasets.there.num_train=96"]
    here, there = (load(path, dataset=label, settings=text) for label in ("here", "there"))
    assert (here.base["dataset"]["num_train"], there.base["dataset"]["num_train"]) == (64, 96)
