from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from cmae_ablate.components.crops.heatmaps import border, border_distance, encoder_heatmap, first_component
from cmae_ablate.components.loading import load_components
from cmae_ablate.components.protocols import BACKBONES
from cmae_ablate.components.vit_encoder import VitEncoder


@pytest.fixture
def encoder() -> VitEncoder:
    load_components()
    encoder = BACKBONES["vit"].build({"dim": 16, "depth": 2, "heads": 2, "patch": 8}, 32)
    assert isinstance(encoder, VitEncoder)
    return encoder


def test_the_first_component_is_that_of_scikit_learn_up_to_its_sign() -> None:
    tokens = torch.randn(3, 16, 5, generator=torch.Generator().manual_seed(0))
    tokens[:, :, 1] *= 4
    ours = first_component(tokens, (4, 4))
    for image in range(3):
        theirs = PCA(1).fit_transform(tokens[image].numpy())[:, 0]
        sign = np.sign(theirs @ ours[image].numpy())
        np.testing.assert_allclose(ours[image].numpy(), sign * theirs, atol=1e-4)


def test_the_first_component_is_colder_at_the_border() -> None:
    tokens = torch.randn(20, 16, 5, generator=torch.Generator().manual_seed(0))
    assert (first_component(tokens, (4, 4))[:, border((4, 4)).flatten()].mean(dim=1) <= 0).all()


def test_the_border_of_a_grid_is_its_outermost_ring() -> None:
    assert border((3, 4)).tolist() == [[True] * 4, [True, False, False, True], [True] * 4]
    assert border((1, 3)).all()


def test_border_distance_is_highest_on_a_patch_of_another_colour() -> None:
    images = torch.full((1, 3, 64, 64), 0.5)
    images[:, 0, 20:24, 40:44] = 1.0
    heat = border_distance(images)[0]
    assert divmod(int(heat.argmax()), 16) == (5, 10)
    assert (heat > 0.1).sum() == 1


def test_border_distance_bears_images_smaller_than_its_cells() -> None:
    assert border_distance(torch.rand(2, 3, 5, 7)).shape == (2, 5, 7)


def test_channel_sums_and_norms_are_of_the_patch_tokens_before_the_final_norm(encoder: VitEncoder) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    tokens = encoder.encode(images, None, norm=False)[:, 1:].detach()
    for image in range(2):
        for patch in range(16):
            row, column = divmod(patch, 4)
            values = tokens[image, patch].tolist()
            total = encoder_heatmap(encoder, images, "channel_sum", norm=False)[image, row, column]
            length = encoder_heatmap(encoder, images, "feature_norm", norm=False)[image, row, column]
            assert total.item() == pytest.approx(sum(values), abs=1e-4)
            assert length.item() == pytest.approx(sum(value**2 for value in values) ** 0.5, rel=1e-4)


def test_sums_of_channels_after_the_final_norm_are_degenerate(encoder: VitEncoder) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert encoder_heatmap(encoder, images, "channel_sum", norm=True).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["channel_sum", "feature_norm", "class_attention", "first_component"])
def test_heat_maps_are_computed_under_autocast_without_gradient(encoder: VitEncoder, kind: str) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        heat = encoder_heatmap(encoder, torch.rand(2, 3, 32, 32), kind, norm=False)  # type: ignore[arg-type]
    assert heat.shape == (2, 4, 4)
    assert heat.dtype == torch.float32
    assert heat.isfinite().all()
    assert not heat.requires_grad
