"""What every registered target must hold, ours and plug-ins' alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.protocols import TARGETS, Target
from cmae_ablate.components.registry import ComponentSpec
from cmae_ablate.tokens import PatchMask, patchify
from tests.contracts.cases import each

load_components()
EVERY = each(TARGETS)
PATCH = 8


def draw(batch: int = 2, height: int = 40, width: int = 24, visible: int = 4) -> tuple[Tensor, PatchMask]:
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, height, width, generator=rng)
    num_patches = (height // PATCH) * (width // PATCH)
    return images, PatchMask.from_scores(torch.rand(batch, num_patches, generator=rng), visible)


@EVERY
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 40, 40), (3, 40, 24), (2, 16, 8)])
def test_each_hidden_patch_has_a_finite_target_of_the_stated_size(
    component: ComponentSpec[Target], batch: int, height: int, width: int
) -> None:
    images, mask = draw(batch, height, width, visible=1)
    target = component.build({}, PATCH)
    values = target(images, mask)
    assert values.shape == (batch, mask.ids_hidden.shape[1], target.dim())
    assert values.isfinite().all()


@EVERY
def test_targets_follow_the_order_of_the_hidden_patches(component: ComponentSpec[Target]) -> None:
    images, mask = draw()
    target = component.build({}, PATCH)
    backwards = PatchMask(mask.ids_keep, mask.ids_hidden.flip(1))
    assert_close(target(images, mask).flip(1), target(images, backwards))


@EVERY
@pytest.mark.parametrize("value", [0.0, -2.5])
def test_a_flat_image_gives_no_nan(component: ComponentSpec[Target], value: float) -> None:
    _, mask = draw()
    target = component.build({}, PATCH)
    assert target(torch.full((2, 3, 40, 24), value), mask).isfinite().all()


@EVERY
def test_targets_stay_fp32_under_autocast(component: ComponentSpec[Target]) -> None:
    images, mask = draw()
    target = component.build({}, PATCH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = target(images, mask)
    assert values.dtype == torch.float32
    assert_close(values, target(images, mask), rtol=0, atol=0)


@EVERY
def test_a_perfect_prediction_is_drawn_as_the_image_or_not_at_all(component: ComponentSpec[Target]) -> None:
    images, mask = draw()
    target = component.build({}, PATCH)
    pixels = target.to_pixels(target(images, mask), images, mask)
    truth = patchify(images, PATCH).gather(1, mask.ids_hidden.unsqueeze(-1).expand(-1, -1, PATCH * PATCH * 3))
    if pixels is not None:
        assert_close(pixels, truth, rtol=1e-4, atol=1e-4)
    assert (pixels is None) == (component.name == "hog")


@EVERY
def test_images_are_left_as_they_were(component: ComponentSpec[Target]) -> None:
    images, mask = draw()
    before = images.clone()
    component.build({}, PATCH)(images, mask)
    assert torch.equal(images, before)
