"""Block-wise masking."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from cmae_ablate.components.masking.block import BlockMasking
from cmae_ablate.components.masking.random import RandomMasking


def hidden_grids(masking: BlockMasking | RandomMasking, batch: int, grid: tuple[int, int]) -> torch.Tensor:
    return masking.sample(batch, torch.Generator().manual_seed(0)).hidden.view(batch, *grid)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(3, 10),
    columns=st.integers(3, 10),
    ratio=st.floats(0.2, 0.85),
    smallest=st.integers(1, 30),
)
def test_exactly_the_ratio_is_hidden_whatever_the_blocks(
    rows: int, columns: int, ratio: float, smallest: int
) -> None:
    masking = BlockMasking((rows, columns), ratio=ratio, min_patches=smallest)
    mask = masking.sample(3, torch.Generator().manual_seed(1))
    assert mask.ids_keep.shape[1] == int(rows * columns * (1 - ratio))


def test_hidden_patches_hang_together_more_than_at_random() -> None:
    def count_pieces(masking: BlockMasking | RandomMasking) -> int:
        return sum(ndimage.label(grid.numpy())[1] for grid in hidden_grids(masking, 100, (14, 14)))

    grid = (14, 14)
    assert count_pieces(BlockMasking(grid, ratio=0.5)) < count_pieces(RandomMasking(grid, ratio=0.5)) / 5


def test_one_block_that_suffices_is_a_rectangle_thinned_to_the_number() -> None:
    # Every block has at least 36 patches and 18 are asked for: one block, thinned.
    grids = hidden_grids(BlockMasking((12, 12), ratio=0.125, min_patches=36), 200, (12, 12))
    for grid in grids:
        rows, columns = grid.any(1).nonzero(), grid.any(0).nonzero()
        height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        # 36 patches at an aspect in [0.3, 1 / 0.3] are 3.3 to 11 long, rounded.
        assert height <= 11
        assert width <= 11
        assert grid.sum() == 18


def test_neither_direction_is_preferred() -> None:
    # Rows and columns of the bounding boxes of 400 single blocks; two-sample test, false alarm 1e-3.
    grids = hidden_grids(BlockMasking((12, 12), ratio=0.12, min_patches=16), 400, (12, 12))
    heights, widths = grids.any(2).sum(1), grids.any(1).sum(1)
    assert stats.mannwhitneyu(heights[:200].numpy(), widths[200:].numpy()).pvalue > 1e-3


def test_masks_are_the_same_upside_down_in_distribution() -> None:
    # 800 images, each hides 32 of 64 patches: the share of mirrored positions differs by chance with a
    # standard deviation below sqrt(2 * 0.25 / 800) = 0.025; six of them are exceeded by chance with
    # a probability of 64 * 2e-9.
    share = hidden_grids(BlockMasking((8, 8), ratio=0.5), 800, (8, 8)).float().mean(0)
    assert (share - share.flip(0, 1)).abs().max() < 0.15
    assert (share - share.T).abs().max() < 0.15


@pytest.mark.parametrize("ratio", [0.5, 0.75])
def test_blocks_larger_than_the_grid_are_cut_to_it(ratio: float) -> None:
    mask = BlockMasking((3, 3), ratio=ratio, min_patches=4096).sample(4, torch.Generator().manual_seed(0))
    assert mask.ids_keep.shape == (4, int(9 * (1 - ratio)))
