"""Pixels as target."""

from __future__ import annotations

import statistics

import torch
from torch.testing import assert_close

from cmae_ablate.components.targets.pixels import PixelTarget
from cmae_ablate.tokens import PatchMask

IMAGES = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
MASK = PatchMask(torch.tensor([[0, 5], [1, 2]]), torch.tensor([[4, 1, 2, 3], [5, 4, 3, 0]]))


def patch_values(image: int, place: int) -> list[float]:
    row, column = divmod(place, 3)
    block = IMAGES[image, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
    return [block[c, y, x].item() for y in range(4) for x in range(4) for c in range(3)]


def test_raw_pixels_are_those_of_the_hidden_patches() -> None:
    values = PixelTarget(4, normalize=False)(IMAGES, MASK)
    for image in range(2):
        for order, place in enumerate(MASK.ids_hidden[image].tolist()):
            assert values[image, order].tolist() == patch_values(image, place)


def test_normalised_pixels_have_the_patchs_mean_and_unbiased_variance_removed() -> None:
    values = PixelTarget(4)(IMAGES, MASK)
    for image in range(2):
        for order, place in enumerate(MASK.ids_hidden[image].tolist()):
            raw = patch_values(image, place)
            mean, scale = statistics.mean(raw), (statistics.variance(raw) + 1e-6) ** 0.5
            assert_close(
                values[image, order], torch.tensor([(v - mean) / scale for v in raw]), rtol=1e-5, atol=1e-5
            )


def test_pictures_of_predictions_take_mean_and_scale_from_the_true_patch() -> None:
    target = PixelTarget(4)
    pixels = target.to_pixels(torch.full((2, 4, 48), 2.0), IMAGES, MASK)
    raw = patch_values(1, 3)
    assert_close(pixels[1, 2, 0].item(), statistics.mean(raw) + 2 * (statistics.variance(raw) + 1e-6) ** 0.5)


def test_pictures_of_raw_predictions_are_the_predictions() -> None:
    predictions = torch.randn(2, 4, 48)
    assert torch.equal(PixelTarget(4, normalize=False).to_pixels(predictions, IMAGES, MASK), predictions)
