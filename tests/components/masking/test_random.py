"""Random masking."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from cmae_ablate.components.masking.random import RandomMasking
from cmae_ablate.errors import UserError


@pytest.mark.parametrize(
    ("grid", "ratio", "visible"),
    # 10 * (1 - 0.9) is 0.9999... in floats, so that MAE, and we, keep 9 of 100 and not 10.
    [((14, 14), 0.75, 49), ((8, 8), 0.75, 16), ((5, 5), 0.75, 6), ((10, 10), 0.9, 9), ((3, 3), 0.5, 4)],
)
def test_as_many_stay_visible_as_in_mae(grid: tuple[int, int], ratio: float, visible: int) -> None:
    mask = RandomMasking(grid, ratio=ratio).sample(2, torch.Generator().manual_seed(0))
    assert mask.ids_keep.shape == (2, visible)
    assert visible == int(grid[0] * grid[1] * (1 - ratio))


def test_the_patches_of_smallest_noise_stay_visible() -> None:
    mask = RandomMasking((4, 4)).sample(3, torch.Generator().manual_seed(5))
    noise = torch.rand(3, 16, generator=torch.Generator().manual_seed(5))
    for image in range(3):
        values = noise[image].tolist()
        assert mask.ids_keep[image].tolist() == sorted(range(16), key=values.__getitem__)[:4]


def test_all_sets_of_visible_patches_are_equally_likely() -> None:
    # 6 patches, 3 visible: 20 sets in 4,000 draws. The seed is fixed; for a right sampler a fresh seed
    # would fail one time in a thousand.
    hidden = RandomMasking((2, 3), ratio=0.5).sample(4000, torch.Generator().manual_seed(0)).hidden
    codes = (hidden * 2 ** torch.arange(6)).sum(1)
    counts = torch.bincount(codes, minlength=64)
    counts = counts[counts > 0]
    assert len(counts) == 20
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_the_order_of_visible_patches_is_random_too() -> None:
    # The first visible patch is uniform over 16 positions; false alarm on a fresh seed: one in a thousand.
    mask = RandomMasking((4, 4)).sample(4000, torch.Generator().manual_seed(0))
    counts = torch.bincount(mask.ids_keep[:, 0], minlength=16)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("grid", "ratio", "visible"), [((2, 2), 0.95, 0), ((1, 1), 0.5, 0), ((3, 3), 1e-17, 9)]
)
def test_a_ratio_that_hides_all_or_nothing_is_refused(
    grid: tuple[int, int], ratio: float, visible: int
) -> None:
    with pytest.raises(UserError, match=rf"leaves {visible} of .*set another masking\.ratio"):
        RandomMasking(grid, ratio=ratio)
