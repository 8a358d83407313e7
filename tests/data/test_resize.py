from __future__ import annotations

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from cmae_ablate.data.resize import _compute_taps, _taps, crop_resize

CROPS = torch.tensor([[0, 0, 40, 48], [3, 5, 17, 20], [10, 0, 30, 9], [39, 47, 1, 1], [0, 1, 24, 24]])


@pytest.mark.parametrize("size", [16, 24, 64])
def test_crop_resize_agrees_with_torchvision_on_each_crop(size: int) -> None:
    images = torch.rand(
        len(CROPS), 3, 40, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    found = crop_resize(images, CROPS, size)
    for image, (top, left, height, width), result in zip(images, CROPS.tolist(), found, strict=True):
        cut = image[:, top : top + height, left : left + width]
        expected = resize(cut, [size, size], InterpolationMode.BICUBIC, antialias=True)
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_a_whole_image_at_its_own_size_is_unchanged() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = torch.tensor([[0, 0, 32, 32]]).expand(2, 4)
    torch.testing.assert_close(crop_resize(images, whole, 32), images, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("source", "size"), [(64, 64), (33, 16), (700, 64)])
def test_taps_that_were_looked_up_are_those_that_were_computed(source: int, size: int) -> None:
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        length = torch.randint(1, source + 1, (16,), generator=rng)
        start = (torch.rand(16, generator=rng) * (source - length + 1)).long()
        found = _taps(start, length, source, size, torch.float32)
        for looked_up, computed in zip(
            found, _compute_taps(start, length, source, size, torch.float32), strict=True
        ):
            assert torch.equal(looked_up, computed)


@pytest.mark.parametrize(("source", "size"), [(64, 64), (40, 64), (64, 40), (96, 31), (5, 8)])
def test_the_taps_of_every_crop_of_an_axis_are_all_of_its_kernel(source: int, size: int) -> None:
    crops = [(start, end - start) for start in range(source) for end in range(start + 1, source + 1)]
    start, length = torch.tensor(crops).T
    _, weights = _compute_taps(start, length, source, size, torch.float64)
    # Normalised over the whole axis before it was cut to taps: what is cut off would be missing here.
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(len(crops), size).double())
