"""What a page says a study was trained on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from cmae_ablate.runner.setting import caveat, setting
from cmae_ablate.study import design
from cmae_ablate.study.design import Variant
from cmae_ablate.study.loading import load

STUDY = Path(__file__).parents[2] / "studies" / "decoder_size.yaml"


@pytest.fixture(scope="module")
def variants() -> list[Variant]:
    own = ["dataset.num_train=640", "dataset.num_test=64", "dataset.num_validation=32"]
    return design.variants(load(STUDY, settings=[*own, "training.epochs=3", "training.batch_size=16"]))


def test_data_images_classes_backbone_epochs_and_batch_are_said(variants: list[Variant]) -> None:
    found = setting(variants)
    assert found["data set"] == "scenes"
    assert found["images"] == "640 to train, 96 to choose and to test (generated to order)"
    assert (found["classes"], found["epochs"], found["batch"]) == ("32", "3", "16")
    assert found["backbone"].startswith("vit (")


def test_of_what_variants_differ_in_every_value_is_said(variants: list[Variant]) -> None:
    longer = replace(
        variants[1],
        spec=replace(variants[1].spec, training=variants[1].spec.training.model_copy(update={"epochs": 5})),
    )
    assert setting([variants[0], longer])["epochs"] == "3 and 5"


def test_days_of_training_are_a_span(variants: list[Variant]) -> None:
    days = [datetime(2026, 11, day, 23) for day in (26, 24, 25)]
    assert setting(variants, begun=days)["trained"] == "2026-11-24 \u2013 2026-11-26"
    assert setting(variants, begun=days[:1])["trained"] == "2026-11-26"
    assert "trained" not in setting(variants)


def test_the_embedded_images_are_said_to_be_no_natural_ones(variants: list[Variant]) -> None:
    assert "little about natural images" in caveat(variants)


def test_sizes_that_nobody_has_read_are_said_to_be_the_official_ones() -> None:
    """A report of a CSV alone knows not which part of the archive the cells were trained on."""
    found = setting(design.variants(load(STUDY, scale="tiny")))
    assert found["images"].startswith("90,000 to train, 20,000 to choose and to test (official sizes; ")
