"""Each batched operation against torchvision's, image by image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional

from cmae_ablate.components.augmentations import pixel_ops

BATCH = 6


def make_images(seed: int = 0) -> Tensor:
    """Noise, but image 0 black, image 1 white, image 2 grey, image 3 with equal channels here and there."""
    images = torch.rand(BATCH, 3, 13, 17, generator=torch.Generator().manual_seed(seed))
    images[0], images[1], images[2] = 0, 1, 0.5
    images[3] = images[3].round(decimals=1)
    return images


@pytest.mark.parametrize(
    ("ours", "theirs", "largest"),
    [
        (pixel_ops.brightness, functional.adjust_brightness, 2.0),
        (pixel_ops.contrast, functional.adjust_contrast, 2.0),
        (pixel_ops.saturation, functional.adjust_saturation, 2.0),
    ],
)
def test_blends_equal_torchvisions(
    ours: Callable[[Tensor, Tensor], Tensor], theirs: Callable[[Tensor, float], Tensor], largest: float
) -> None:
    images = make_images()
    factors = torch.linspace(0, largest, BATCH)
    result = ours(images, factors)
    for image, factor, changed in zip(images, factors.tolist(), result, strict=True):
        torch.testing.assert_close(changed, theirs(image, factor), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shift", [-0.5, -0.31, -0.1, 0.07, 0.25, 0.5])
def test_hue_equals_torchvisions(shift: float) -> None:
    images = make_images()
    result = pixel_ops.hue(images, torch.full((BATCH,), shift))
    for image, changed in zip(images, result, strict=True):
        torch.testing.assert_close(changed, functional.adjust_hue(image, shift), rtol=0, atol=1e-5)


def test_greyscale_equals_torchvisions() -> None:
    expected = functional.rgb_to_grayscale(make_images(), num_output_channels=3)
    torch.testing.assert_close(pixel_ops.greyscale(make_images()), expected, rtol=0, atol=1e-6)


def test_solarisation_equals_torchvisions() -> None:
    assert torch.equal(pixel_ops.solarize(make_images()), functional.solarize(make_images(), 0.5))


def test_flip_equals_torchvisions() -> None:
    assert torch.equal(pixel_ops.flip(make_images()), functional.horizontal_flip(make_images()))


def test_blur_equals_torchvisions_with_a_sigma_for_each_image() -> None:
    images = make_images()
    sigmas = torch.linspace(0.1, 2.0, BATCH)
    result = pixel_ops.blur(images, sigmas, largest=2.0)
    for image, sigma, changed in zip(images, sigmas.tolist(), result, strict=True):
        expected = functional.gaussian_blur(image, [13, 13], [sigma, sigma])
        torch.testing.assert_close(changed, expected, rtol=0, atol=1e-6)


def test_blur_reaches_no_further_than_reflection_can() -> None:
    images = torch.rand(2, 3, 3, 5, generator=torch.Generator().manual_seed(1))
    result = pixel_ops.blur(images, torch.tensor([4.0, 4.0]), largest=4.0)
    expected = functional.gaussian_blur(images, [5, 5], [4.0, 4.0])
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@given(
    seed=st.integers(0, 2**31),
    amount=st.floats(0, 2),
    shift=st.floats(-0.5, 0.5),
)
@settings(max_examples=40, deadline=None)
def test_results_stay_in_the_unit_interval(seed: int, amount: float, shift: float) -> None:
    images = make_images(seed)
    factors = torch.full((BATCH,), amount)
    results = [
        pixel_ops.brightness(images, factors),
        pixel_ops.contrast(images, factors),
        pixel_ops.saturation(images, factors),
        pixel_ops.hue(images, torch.full((BATCH,), shift)),
        pixel_ops.blur(images, factors + 0.01, largest=2.01),
    ]
    for result in results:
        assert result.shape == images.shape
        assert bool(((result >= 0) & (result <= 1)).all())


def test_neutral_amounts_change_nothing() -> None:
    images, ones = make_images(), torch.ones(BATCH)
    for operation in (pixel_ops.brightness, pixel_ops.contrast, pixel_ops.saturation):
        torch.testing.assert_close(operation(images, ones), images, rtol=0, atol=1e-6)
    torch.testing.assert_close(pixel_ops.hue(images, 0 * ones), images, rtol=0, atol=1e-6)


def test_only_chosen_images_change() -> None:
    images = make_images()
    chosen = torch.tensor([False, True, False, False, True, False])
    pixel_ops.change(images, chosen, lambda some, places: some * 0 + places[:, None, None, None])
    assert torch.equal(images[~chosen], make_images()[~chosen])
    assert [value.unique().tolist() for value in images[chosen]] == [[1], [4]]


def test_choosing_no_image_runs_nothing() -> None:
    def never(some: Tensor, places: Tensor) -> Tensor:
        raise AssertionError("called")

    images = make_images()
    pixel_ops.change(images, torch.zeros(BATCH, dtype=torch.bool), never)
    assert torch.equal(images, make_images())
