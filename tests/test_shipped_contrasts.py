"""What each shipped study compares, against what its question asks."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from cmae_ablate.runner.results import describe
from cmae_ablate.study import design
from cmae_ablate.study.loading import load

STUDIES = Path(__file__).parents[1] / "studies"
VIEWS, STRONG = "MAE with two views", "MAE with strong augmentation"


def compared(name: str) -> set[tuple[str, str]]:
    """The pairs that the study's Holm family holds, as its report is told."""
    study = load(STUDIES / f"{name}.yaml")
    levels = {variant.label: variant.levels for variant in design.variants(study)}
    family = describe(study, levels, design.reference_label(study)).family
    assert len(family) == len(set(family))
    return set(family)


def test_a_contrastive_task_is_compared_with_what_it_brings_along() -> None:
    assert compared("contrastive") == set(product(("moco_v3", "simclr", "byol"), (VIEWS, STRONG)))


@pytest.mark.parametrize("name", ["cmae_vs_mae", "learning_rate"])
def test_cmae_is_compared_with_mae_and_with_both_of_its_controls(name: str) -> None:
    assert compared(name) == {("CMAE", "MAE"), ("CMAE", VIEWS), ("CMAE", STRONG)}


def test_a_component_is_added_to_mae_and_taken_from_cmae() -> None:
    off = ["MAE's decoder", "no contrastive", "no position", "plain crop"]
    on = ["small decoder", "contrastive", "position", "ContrastiveCrop"]
    expected = set()
    for place in range(4):
        with_one, without_one = list(off), list(on)
        with_one[place], without_one[place] = on[place], off[place]
        expected |= {(" + ".join(with_one), " + ".join(off)), (" + ".join(without_one), " + ".join(on))}
    assert compared("components") == expected


def test_finding_objects_is_told_from_seeking_edges_at_every_threshold() -> None:
    found = [f"contrastive{threshold}" for threshold in ("", ", threshold 0.3", ", threshold 0.5")]
    pairs = set(product(found, ("full_box", "random_resized")))
    assert compared("crop") == {*pairs, ("ground_truth_box", "random_resized")}
    crops = {variant.label: variant.spec["crop"] for variant in design.variants(load(STUDIES / "crop.yaml"))}
    assert [crops[label].options["threshold"] for label in found] == [0.1, 0.3, 0.5]
    # All that full_box and contrastive have in common is equal, the warm-up among it.
    full = crops["full_box"].options
    assert {name: crops[found[0]].options[name] for name in full} == full


def test_each_position_task_is_compared_with_none() -> None:
    assert compared("position") == {(task, "off") for task in ("absolute", "absolute, L2", "dropped")}


def test_the_later_settings_are_compared_with_ours_and_with_mae() -> None:
    later = "CMAE, later settings"
    assert compared("cmae_presets") == {(later, "CMAE"), (later, "MAE")}


def test_every_size_of_decoder_is_compared_with_the_largest_without_being_declared() -> None:
    assert load(STUDIES / "decoder_size.yaml").contrasts == ()
    assert compared("decoder_size") == {(size, "depth 4") for size in ("depth 2", "depth 1", "linear")}
