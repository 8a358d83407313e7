"""On a device a whole batch is changed at once: image by image the same as picked out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cmae_ablate.components.augmentations import pixel_ops, whole_batch
from cmae_ablate.components.augmentations.standard import StandardAugmentation

OFF = {"jitter": 0.0, "grey": 0.0, "blur": 0.0, "solarize": 0.0}
OPTIONS = [
    {},
    {"flip_weak": False, "flip": 0.0},
    {"jitter": 1.0, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5},
    {"jitter": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
    {"jitter": 1.0, "hue": 0.0},
    {"blur": 1.0, "blur_sigma": (5.0, 50.0)},
    {**OFF, "grey": 0.5},
    {**OFF, "solarize": 0.5},
]


@pytest.fixture
def images() -> Tensor:
    """Noise; image 0 is black, 1 white, 2 grey, and image 3 has equal channels here and there."""
    images = torch.rand(24, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    images[0], images[1], images[2] = 0, 1, 0.5
    images[3] = images[3].round(decimals=1)
    return images


@pytest.mark.parametrize("view", [0, 1])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_whole_batch_equals_images_picked_out(
    options: dict[str, float], view: int, images: Tensor
) -> None:
    augmentation = StandardAugmentation(**options)
    for seed in range(3):
        numbers = torch.rand(14, len(images), generator=torch.Generator().manual_seed(seed))
        expected = augmentation(images, view, torch.Generator().manual_seed(seed))
        found = augmentation._whole_batch(images, numbers, strong=view == 1)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_spared_images_are_left_alone_to_the_last_bit(images: Tensor) -> None:
    numbers = torch.full((14, len(images)), 0.999)  # below no probability
    augmentation = StandardAugmentation(jitter=0.5, solarize=0.5, grey=0.5)
    assert torch.equal(augmentation._whole_batch(images, numbers, strong=True), images)


def test_the_colour_circle_is_turned_as_for_images_picked_out(images: Tensor) -> None:
    turns = torch.linspace(-0.5, 0.5, len(images))
    found = whole_batch.hue(images, 6 * turns[:, None, None, None])
    torch.testing.assert_close(found, pixel_ops.hue(images, turns), rtol=0, atol=1e-5)
