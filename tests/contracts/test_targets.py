"""What every registered target must hold, ours and plug-ins' alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.protocols import (
    BACKBONES,
    TARGETS,
    ComparesItself,
    FollowsEncoder,
    Target,
)
from cmae_ablate.components.registry import ComponentSpec
from cmae_ablate.runtime import seeded
from cmae_ablate.tokens import PatchMask, patchify
from tests.contracts.cases import each

load_components()
EVERY = each(TARGETS)
PATCH = 8


def build(component: ComponentSpec[Target], side: int = 40) -> Target:
    """The target; one that follows an encoder, with a small one for square images of this side."""
    target = component.build({}, PATCH)
    if isinstance(target, FollowsEncoder):
        with seeded(0, "encoder"):
            sizes = {"dim": 16, "depth": 2, "heads": 2, "patch": PATCH}
            target.attach(BACKBONES["vit"].build(sizes, side))
    return target


def draw(batch: int = 2, height: int = 40, width: int = 40, visible: int = 4) -> tuple[Tensor, PatchMask]:
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, height, width, generator=rng)
    num_patches = (height // PATCH) * (width // PATCH)
    return images, PatchMask.from_scores(torch.rand(batch, num_patches, generator=rng), visible)


@EVERY
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 40, 40), (3, 40, 24), (2, 16, 8)])
def test_each_hidden_patch_has_a_finite_target_of_the_stated_size(
    component: ComponentSpec[Target], batch: int, height: int, width: int
) -> None:
    target = build(component, height)
    if isinstance(target, FollowsEncoder):
        width = height  # encoders take square images
    images, mask = draw(batch, height, width, visible=1)
    values = target(images, mask)
    assert values.shape == (batch, mask.ids_hidden.shape[1], target.dim())
    assert values.isfinite().all()


@EVERY
def test_targets_follow_the_order_of_the_hidden_patches(component: ComponentSpec[Target]) -> None:
    images, mask = draw()
    target = build(component)
    backwards = PatchMask(mask.ids_keep, mask.ids_hidden.flip(1))
    assert_close(target(images, mask).flip(1), target(images, backwards))


@EVERY
@pytest.mark.parametrize("value", [0.0, -2.5])
def test_a_flat_image_gives_no_nan(component: ComponentSpec[Target], value: float) -> None:
    _, mask = draw()
    target = build(component)
    assert target(torch.full((2, 3, 40, 40), value), mask).isfinite().all()


@EVERY
def test_targets_stay_fp32_under_autocast(component: ComponentSpec[Target]) -> None:
    images, mask = draw()
    target = build(component)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = target(images, mask)
    assert values.dtype == torch.float32
    # What an encoder makes of images is bf16's; what is computed of the pixels themselves is not.
    tolerance = 0.1 if isinstance(target, FollowsEncoder) else 0.0
    assert_close(values, target(images, mask), rtol=tolerance, atol=tolerance)


@EVERY
def test_a_perfect_prediction_is_drawn_as_the_image_or_not_at_all(component: ComponentSpec[Target]) -> None:
    images, mask = draw()
    target = build(component)
    pixels = target.to_pixels(target(images, mask), images, mask)
    truth = patchify(images, PATCH).gather(1, mask.ids_hidden.unsqueeze(-1).expand(-1, -1, PATCH * PATCH * 3))
    if pixels is not None:
        assert_close(pixels, truth, rtol=1e-4, atol=1e-4)
    assert (pixels is None) == (component.name in {"data2vec", "hog"})


@EVERY
def test_images_are_left_as_they_were(component: ComponentSpec[Target]) -> None:
    images, mask = draw()
    before = images.clone()
    build(component)(images, mask)
    assert torch.equal(images, before)


@EVERY
def test_a_loss_of_its_own_is_zero_for_a_perfect_prediction_and_rises_with_its_error(
    component: ComponentSpec[Target],
) -> None:
    images, mask = draw()
    target = build(component)
    if not isinstance(target, ComparesItself):
        return
    values = target(images, mask)
    found = [target.loss(values + error, values).item() for error in (0.0, 0.1, 1.0, 10.0)]
    assert found[0] == 0
    assert found == sorted(set(found))


@EVERY
def test_a_copy_of_the_encoder_follows_it_and_leaves_it_alone(component: ComponentSpec[Target]) -> None:
    target = component.build({}, PATCH)
    if not isinstance(target, FollowsEncoder):
        return
    encoder = BACKBONES["vit"].build({"dim": 16, "depth": 2, "heads": 2, "patch": PATCH}, 40)
    target.attach(encoder)
    images, mask = draw()
    before = target(images, mask)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.5)
    kept = [parameter.clone() for parameter in encoder.parameters()]
    assert torch.equal(target(images, mask), before)
    assert isinstance(target, nn.Module)
    assert not any(parameter.requires_grad for parameter in target.parameters())
    for _ in range(20):
        target.after_step(encoder, 0.5)
    assert not torch.equal(target(images, mask), before)
    assert all(torch.equal(old, new) for old, new in zip(kept, encoder.parameters(), strict=True))
    assert all(parameter.requires_grad for parameter in encoder.parameters())
