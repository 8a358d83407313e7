"""Scale, study, data set, command line: what is laid over what."""

from __future__ import annotations

from pathlib import Path

from cmae_ablate.study.loading import load
from tests.study.blocks import blocks


def test_options_of_one_data_set_are_set_by_its_label(tiny_study: Path) -> None:
    path, text = blocks(tiny_study), ["datasets.there.num_train=96"]
    here, there = (load(path, dataset=label, settings=text) for label in ("here", "there"))
    assert (here.base["dataset"]["num_train"], there.base["dataset"]["num_train"]) == (64, 96)
