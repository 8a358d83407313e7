"""What every registered crop strategy must hold, ours and plug-ins' alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.protocols import BACKBONES, CROPS, CropStrategy, LooksAgain
from cmae_ablate.components.registry import ComponentSpec
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.runtime import Precision, Runtime
from tests.contracts.cases import each

load_components()
EVERY = each(CROPS)
NUM_IMAGES = 5


class Noise:
    """Five images of noise."""

    def __len__(self) -> int:
        return NUM_IMAGES

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        images = torch.randn(NUM_IMAGES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        yield from images.split(2)


def build(component: ComponentSpec[CropStrategy]) -> CropStrategy:
    corners = torch.rand(NUM_IMAGES, 2, 2, generator=torch.Generator().manual_seed(1)).sort(dim=1).values
    boxes = corners.flatten(1)
    boxes[3] = float("nan")
    return component.build({}, NUM_IMAGES, boxes)


def look(strategy: CropStrategy, epochs: int) -> None:
    encoder = BACKBONES["vit"].build({"dim": 16, "depth": 1, "heads": 2, "patch": 8}, 32)
    assert isinstance(encoder, VitEncoder)
    for epoch in range(epochs):
        strategy.refresh(epoch, encoder, Noise())


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@EVERY
@pytest.mark.parametrize("epochs", [0, 101])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 1), (31, 77), (200, 9)])
def test_crops_are_whole_pixels_inside_the_image(
    component: ComponentSpec[CropStrategy], epochs: int, height: int, width: int
) -> None:
    strategy = build(component)
    look(strategy, epochs)
    crops = strategy.sample(torch.tensor([0, 1, 2, 3, 4, 4]), height, width, rng())
    assert crops.shape == (6, 4)
    assert crops.dtype == torch.int64
    top, left, crop_height, crop_width = crops.unbind(dim=1)
    assert bool(((crop_height >= 1) & (crop_width >= 1) & (top >= 0) & (left >= 0)).all())
    assert bool(((top + crop_height <= height) & (left + crop_width <= width)).all())


class Counted(Noise):
    """Counts who looks."""

    looks = 0

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        self.looks += 1
        yield from super().batches(batch_size)


@EVERY
def test_it_looks_at_the_images_only_when_it_says_so(component: ComponentSpec[CropStrategy]) -> None:
    strategy, images, epochs = build(component), Counted(), 210
    encoder = BACKBONES["vit"].build({"dim": 16, "depth": 1, "heads": 2, "patch": 8}, 32)
    looked = []
    for epoch in range(epochs):
        before = images.looks
        strategy.refresh(epoch, encoder, images)
        looked += [epoch] * (images.looks > before)
    told = strategy.refresh_epochs(epochs) if isinstance(strategy, LooksAgain) else ()
    assert set(looked) <= set(told) <= set(range(epochs))


@EVERY
@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches_are_cropped_too(component: ComponentSpec[CropStrategy], batch: int) -> None:
    crops = build(component).sample(torch.zeros(batch, dtype=torch.int64), 64, 64, rng())
    assert crops.shape == (batch, 4)


@EVERY
def test_the_same_generator_gives_the_same_crops_and_the_global_one_is_left_alone(
    component: ComponentSpec[CropStrategy],
) -> None:
    strategy, indices = build(component), torch.arange(NUM_IMAGES)
    before = torch.random.get_rng_state()
    first, second = (strategy.sample(indices, 64, 64, rng(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


@EVERY
def test_state_makes_the_round_trip_through_tensors(component: ComponentSpec[CropStrategy]) -> None:
    original, resumed = build(component), build(component)
    look(original, 101)
    state = original.state_dict()
    assert all(isinstance(value, Tensor) for value in state.values())
    resumed.load_state_dict(state)
    indices = torch.arange(NUM_IMAGES)
    assert torch.equal(original.sample(indices, 64, 64, rng(4)), resumed.sample(indices, 64, 64, rng(4)))


@EVERY
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_a_refresh_reports_is_finite(
    component: ComponentSpec[CropStrategy], precision: Precision
) -> None:
    strategy = build(component)
    encoder = BACKBONES["vit"].build({"dim": 16, "depth": 1, "heads": 2, "patch": 8}, 32)
    for epoch in (0, 100):
        with Runtime(precision=precision).autocast():
            found = strategy.refresh(epoch, encoder, Noise())
        values = torch.tensor(list(found.metrics.values())) if found is not None else torch.empty(0)
        assert values.isfinite().all()
