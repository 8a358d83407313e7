"""Histograms of oriented gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torch.testing import assert_close

from cmae_ablate.components.targets.hog import HogTarget
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask


def all_hidden(images: Tensor, patch: int) -> PatchMask:
    places = torch.arange((images.shape[2] // patch) * (images.shape[3] // patch)).expand(len(images), -1)
    return PatchMask(places[:, :0], places)


def slow_hog(image: np.ndarray, patch: int, cell: int, bins: int) -> list[list[float]]:
    """Pixel by pixel, with scipy's Sobel filter."""
    channels, height, width = image.shape
    votes = np.zeros((height // cell, width // cell, channels, bins))
    for channel in range(channels):
        down = ndimage.sobel(image[channel], axis=0, mode="mirror")
        right = ndimage.sobel(image[channel], axis=1, mode="mirror")
        for y in range(height):
            for x in range(width):
                angle = math.atan2(down[y, x], right[y, x]) % math.pi
                place = min(int(angle / math.pi * bins), bins - 1)
                votes[y // cell, x // cell, channel, place] += math.hypot(down[y, x], right[y, x])
    votes /= np.linalg.norm(votes, axis=-1, keepdims=True)
    side = patch // cell
    return [
        votes[row * side : (row + 1) * side, column * side : (column + 1) * side].reshape(-1).tolist()
        for row in range(height // patch)
        for column in range(width // patch)
    ]


@pytest.mark.parametrize(("patch", "cell", "bins"), [(8, 4, 9), (8, 8, 9), (4, 2, 6)])
def test_histograms_agree_with_a_loop_over_pixels(patch: int, cell: int, bins: int) -> None:
    images = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    values = HogTarget(patch, cell=cell, bins=bins)(images, all_hidden(images, patch))
    for image in range(2):
        expected = torch.tensor(slow_hog(images[image].double().numpy(), patch, cell, bins)).float()
        assert_close(values[image], expected, rtol=1e-4, atol=1e-5)


def test_a_vertical_edge_votes_for_the_first_bin_and_a_horizontal_one_for_the_middle() -> None:
    images = torch.zeros(2, 3, 8, 8)
    images[0, :, :, 4:] = 1.0
    images[1, :, 4:, :] = 1.0
    values = HogTarget(8)(images, all_hidden(images, 8)).view(2, 3, 9)
    assert_close(values[0], torch.eye(9)[0].expand(3, -1))
    assert_close(values[1], torch.eye(9)[4].expand(3, -1))


def test_contrast_and_brightness_of_a_channel_change_nothing() -> None:
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    gain, shift = torch.tensor([0.2, 3.0, 1.5]).view(3, 1, 1), torch.tensor([5.0, -1.0, 0.1]).view(3, 1, 1)
    target, mask = HogTarget(8), all_hidden(images, 8)
    # Sums of other roundings may move a pixel on a bin's edge: a hundredth of a histogram of norm 1.
    assert_close(target(images * gain + shift, mask), target(images, mask), rtol=0, atol=1e-2)


def test_only_hidden_patches_are_described_in_their_order() -> None:
    images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    target = HogTarget(8)
    every = target(images, all_hidden(images, 8))
    mask = PatchMask(torch.tensor([[1]]), torch.tensor([[3, 0, 2]]))
    assert torch.equal(target(images, mask), every[:, [3, 0, 2]])


def test_a_cell_larger_than_the_patch_is_the_patch() -> None:
    assert HogTarget(4, cell=8).dim() == HogTarget(4, cell=4).dim() == 27


def test_a_cell_that_does_not_divide_the_patch_is_refused() -> None:
    with pytest.raises(UserError, match=r"target\.cell to 1, 2, 3, 4, 6, 12"):
        HogTarget(12)
