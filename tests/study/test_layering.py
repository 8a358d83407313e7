"""Scale, study, data set, command line: what is laid over what."""

from __future__ import annotations

from pathlib import Path

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


def test_options_of_one_data_set_are_set_by_its_label(tiny_study: Path) -> None:
    path, text = blocks(tiny_study), ["datasets.there.num_train=96"]
    here, there = (load(path, dataset=label, settings=text) for label in ("here", "there"))
    assert (here.base["dataset"]["num_train"], there.base["dataset"]["num_train"]) == (64, 96)
