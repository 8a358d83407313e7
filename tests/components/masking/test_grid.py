"""Grid masking."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from cmae_ablate.components.masking.grid import GridMasking
from cmae_ablate.errors import UserError


def visible_grids(masking: GridMasking, batch: int, grid: tuple[int, int]) -> torch.Tensor:
    return ~masking.sample(batch, torch.Generator().manual_seed(0)).hidden.view(batch, *grid)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_one_patch_of_each_square_stays_visible_at_the_same_place(stride: int) -> None:
    for visible in visible_grids(GridMasking((12, 12), stride=stride), 20, (12, 12)):
        squares = visible.unfold(0, stride, stride).unfold(1, stride, stride).reshape(-1, stride, stride)
        assert squares.sum() == len(squares)
        assert (squares == squares[:1]).all()


def test_every_offset_is_equally_likely() -> None:
    # Which of the first square's four patches, in 2,000 images; false alarm on a fresh seed: 1e-3.
    visible = visible_grids(GridMasking((4, 4)), 2000, (4, 4))
    assert stats.chisquare(visible[:, :2, :2].sum(0).flatten().numpy()).pvalue > 1e-3


def test_a_fixed_offset_is_the_same_in_every_image() -> None:
    visible = visible_grids(GridMasking((4, 4), random_offset=False), 9, (4, 4))
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[1::2, 1::2] = True
    assert (visible == expected).all()


def test_a_grid_that_the_stride_does_not_divide_keeps_the_fewest() -> None:
    visible = visible_grids(GridMasking((5, 7), stride=3), 50, (5, 7))
    assert (visible.sum(dim=(1, 2)) == 1 * 2).all()
    assert (visible[:, 2].any(1)).all()


def test_a_square_larger_than_the_grid_is_refused() -> None:
    with pytest.raises(UserError, match=r"masking\.stride to at most 3"):
        GridMasking((3, 5), stride=4)
