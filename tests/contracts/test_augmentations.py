"""What every registered augmentation must hold, ours and plug-ins' alike."""

from __future__ import annotations

import pytest
import torch

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.protocols import AUGMENTATIONS, Augmentation
from cmae_ablate.components.registry import ComponentSpec
from tests.contracts.cases import each

load_components()
EVERY = each(AUGMENTATIONS)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@EVERY
@pytest.mark.parametrize("view", [0, 1, 2])
@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (5, 3, 33, 33), (2, 3, 7, 20), (3, 3, 1, 1)])
def test_images_keep_their_shape_and_range(
    component: ComponentSpec[Augmentation], view: int, shape: tuple[int, int, int, int]
) -> None:
    images = torch.rand(shape, generator=rng())
    result = component.build({})(images, view, rng())
    assert result.shape == shape
    assert result.dtype == images.dtype
    assert bool(((result >= 0) & (result <= 1)).all())


@EVERY
def test_the_same_generator_gives_the_same_view_and_the_global_one_is_left_alone(
    component: ComponentSpec[Augmentation],
) -> None:
    augmentation, images = component.build({}), torch.rand(6, 3, 16, 16, generator=rng())
    before = torch.random.get_rng_state()
    first, second = (augmentation(images, 1, rng()) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


@EVERY
def test_the_input_is_left_alone(component: ComponentSpec[Augmentation]) -> None:
    images = torch.rand(6, 3, 16, 16, generator=rng())
    before = images.clone()
    component.build({})(images, 1, rng())
    assert torch.equal(images, before)
