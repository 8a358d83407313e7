from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.study import design, loading
from cmae_ablate.study.trial_spec import TrialSpec

STUDIES = Path(__file__).parents[1] / "studies"
SCALES = ("cpu", "hour", "tiny", "gpu", "paper")


def variants(study: str, scale: str) -> dict[str, TrialSpec]:
    loaded = loading.load(STUDIES / f"{study}.yaml", scale=scale)
    return {variant.label: variant.spec for variant in design.variants(loaded)}


def test_the_scales_are_those_of_the_contract() -> None:
    assert {path.stem for path in (STUDIES / "scales").glob("*.yaml")} == set(SCALES)


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_reads_neighbours_mean_tokens_and_attentively(scale: str) -> None:
    found = variants("cmae_vs_mae", scale)["MAE"].evaluations
    assert {"knn", "linear_probe", "attentive_probe"} <= set(found)


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_the_scales_of_the_papers_data_fine_tune_as_the_paper_does(scale: str) -> None:
    assert "fine_tune" in variants("cmae_vs_mae", scale)["MAE"].evaluations


@pytest.mark.parametrize("scale", ["cpu", "hour", "tiny"])
def test_a_quarter_of_the_epochs_is_a_whole_number(scale: str) -> None:
    # The default positive control trains for it.
    assert variants("cmae_vs_mae", scale)["MAE"].training.epochs % 4 == 0


def test_an_hour_is_read_on_enough_test_images_by_a_recipe_that_was_tuned() -> None:
    mae = variants("cmae_vs_mae", "hour")["MAE"]
    assert mae["dataset"].options["num_test"] >= 12800
    assert mae["dataset"].options["num_validation"] >= 3200


def test_the_reference_of_the_methods_is_a_cell_of_the_decoders_too() -> None:
    mae = variants("cmae_vs_mae", "hour")["MAE"]
    assert variants("decoder_size", "hour")["depth 1"].fingerprint("data") == mae.fingerprint("data")
