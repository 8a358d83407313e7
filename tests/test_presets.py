"""The authors' later settings, as far as they are public, against what the shipped study resolves to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cmae_ablate import design, study_file
from cmae_ablate.model import MaskedImageModel, assemble
from cmae_ablate.spec import TrialSpec

STUDIES = Path(__file__).parents[1] / "studies"
LATER = "CMAE, later settings"


def later(scale: str | None = None) -> TrialSpec:
    study = study_file.load(STUDIES / "cmae_presets.yaml", scale=scale)
    (found,) = [variant.spec for variant in design.variants(study) if variant.label == LATER]
    return found


@pytest.fixture(scope="module")
def model() -> MaskedImageModel:
    return assemble(later(), 64)


def test_the_decoder_has_one_block_of_width_128_with_16_heads() -> None:
    options = later()["decoder"].options
    assert (options["depth"], options["dim"], options["heads"]) == (1, 128, 16)


def test_two_views_one_strong_under_one_mask_are_both_reconstructed(model: MaskedImageModel) -> None:
    spec = later()
    assert model.num_views == 2
    assert spec["augmentation"].options["strong_views"] == [1]
    first, second = model.sample_masks(4, 0, 0, 0)
    assert torch.equal(first.ids_keep, second.ids_keep)
    assert model.reconstruct_all


def test_positions_go_through_two_linear_layers_and_l2_to_the_one_hot(model: MaskedImageModel) -> None:
    head = model.objectives["position"].head
    width, patches = model.encoder.embed_dim, model.encoder.num_patches
    assert [type(layer) for layer in head] == [nn.Linear, nn.Linear]
    assert [tuple(layer.weight.shape) for layer in head] == [(width // 2, width), (patches, width // 2)]
    assert later().objectives["position"].options["loss"] == "l2"


def test_the_contrastive_branch_is_a_transformer_of_two_blocks_and_mlps_of_three_and_two_layers(
    model: MaskedImageModel,
) -> None:
    branch, projector = model.objectives["contrastive"].projector
    assert len(branch.blocks) == 2
    for network, layers in ((projector, 3), (model.objectives["contrastive"].predictor, 2)):
        assert sum(isinstance(layer, nn.Linear) for layer in network) == layers
        assert sum(isinstance(layer, nn.BatchNorm1d) for layer in network) == layers


def test_the_contrastive_loss_has_momentum_temperature_and_weight_of_the_later_code() -> None:
    options = later().objectives["contrastive"].options
    assert (options["momentum"], options["momentum_schedule"]) == (0.999, "constant")
    assert (options["temperature"], options["weight"]) == (1.0, 0.1)


def test_at_the_papers_scale_it_is_trained_as_the_later_code_trains() -> None:
    spec = later("paper")
    training = spec.training
    assert (training.epochs, training.batch_size, training.warmup_epochs) == (300, 64, 40)
    assert (training.base_lr, training.weight_decay, training.image_size) == (1e-3, 0.05, 224)
    assert [spec["backbone"].options[name] for name in ("dim", "depth", "heads", "patch")] == [
        768,
        12,
        12,
        16,
    ]
