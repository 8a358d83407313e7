"""Block-wise masking."""

from __future__ import annotations

import math
import random

import numpy as np
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


def slow_hidden(rows: int, columns: int, wanted: int, smallest: int, rng: random.Random) -> np.ndarray:
    """BEiT's algorithm 1 for one image, patch by patch; of the last block as many as are missing."""
    hidden: set[tuple[int, int]] = set()
    while len(hidden) < wanted:
        missing = wanted - len(hidden)
        area = rng.uniform(smallest, max(missing, smallest))
        aspect = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
        height = min(max(round(math.sqrt(area * aspect)), 1), rows)
        width = min(max(round(math.sqrt(area / aspect)), 1), columns)
        top, left = rng.randrange(rows - height + 1), rng.randrange(columns - width + 1)
        block = {(top + y, left + x) for y in range(height) for x in range(width)} - hidden
        hidden |= set(rng.sample(sorted(block), min(missing, len(block))))
    grid = np.zeros((rows, columns), dtype=bool)
    for place in hidden:
        grid[place] = True
    return grid


@pytest.mark.parametrize(
    ("grid", "ratio", "smallest"), [((8, 8), 0.75, 4), ((6, 11), 0.5, 9), ((12, 12), 0.25, 4)]
)
def test_masks_have_the_distribution_of_a_slow_sampler(
    grid: tuple[int, int], ratio: float, smallest: int
) -> None:
    wanted = grid[0] * grid[1] - int(grid[0] * grid[1] * (1 - ratio))
    rng = random.Random(0)
    slow = [slow_hidden(*grid, wanted, smallest, rng) for _ in range(1500)]
    fast = hidden_grids(BlockMasking(grid, ratio=ratio, min_patches=smallest), 1500, grid).numpy()
    # Six measures on three settings, each at 1e-5: a false alarm in 1 of 5,000 choices of the seeds.
    for measure in (
        lambda one: int(one[0].sum()),
        lambda one: int(one[:, 0].sum()),
        lambda one: int(one[grid[0] // 2].sum()),
        lambda one: int((one[1:] != one[:-1]).sum()),
        lambda one: int((one[:, 1:] != one[:, :-1]).sum()),
        lambda one: int(ndimage.label(one)[1]),
    ):
        found = [[measure(one) for one in many] for many in (slow, fast)]
        table = np.array([np.bincount(values, minlength=max(map(max, found)) + 1) for values in found])
        # Rare values go together, as the test wants some of each.
        common = table.sum(axis=0) >= 20
        table = np.column_stack([table[:, common], table[:, ~common].sum(axis=1)])
        assert stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue > 1e-5


@pytest.mark.parametrize("ratio", [0.5, 0.75])
def test_blocks_larger_than_the_grid_are_cut_to_it(ratio: float) -> None:
    mask = BlockMasking((3, 3), ratio=ratio, min_patches=4096).sample(4, torch.Generator().manual_seed(0))
    assert mask.ids_keep.shape == (4, int(9 * (1 - ratio)))


def each_time_for_every_image(
    masking: BlockMasking, batch: int, grid: tuple[int, int], rng: torch.Generator
) -> torch.Tensor:
    """What is hidden, without sparing the images that are done: (B, rows, columns), bool."""
    wanted = grid[0] * grid[1] - int(grid[0] * grid[1] * 0.25)
    hidden = torch.zeros(batch, *grid, dtype=torch.bool)
    while (missing := wanted - hidden.sum(dim=(1, 2))).any():
        blocks = masking._blocks(missing, torch.rand(4, batch, generator=rng), torch.arange(batch))
        added = blocks & ~hidden
        if (added.sum(dim=(1, 2)) > missing).any():
            scores = torch.rand(added.shape, generator=rng)
            for image, most in enumerate(missing.tolist()):
                places = added[image].nonzero().tolist()
                for row, column in sorted(places, key=lambda at: float(scores[image][tuple(at)]))[most:]:
                    added[image, row, column] = False
        hidden |= added
    return hidden


@pytest.mark.parametrize("grid", [(8, 8), (5, 9)])
@pytest.mark.parametrize("batch", [1, 24])
def test_images_that_are_done_change_no_number_of_the_others(grid: tuple[int, int], batch: int) -> None:
    masking = BlockMasking(grid, ratio=0.75, min_patches=4)
    for seed in range(3):
        rngs = [torch.Generator().manual_seed(seed) for _ in range(2)]
        expected = each_time_for_every_image(masking, batch, grid, rngs[0])
        found = masking.sample(batch, rngs[1])
        assert torch.equal(found.hidden.view(batch, *grid), expected)
        assert torch.equal(rngs[0].get_state(), rngs[1].get_state())
