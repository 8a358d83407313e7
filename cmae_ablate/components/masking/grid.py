"""Grid masking."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from cmae_ablate.components.protocols import MASKINGS
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask


@MASKINGS.register("grid", version=1)
class GridMasking:
    """Keep one patch of each square of patches at the same place, MAE's grid-wise ablation.

    Source: He et al., arXiv 2111.06377, section 4.1 ("mask sampling strategy"): one of every four patches
    is kept, regularly. Different here: which of the four, where the paper says nothing, is drawn for each
    image, as a fixed choice would leave most positions without training; an option fixes it.
    Where `stride` does not divide the grid, the offset is drawn among those that keep the fewest, so that
    every image hides equally many.

    Args:
        grid: Patches per column and per row.
        stride: Side of the squares in patches: 2 hides 3/4, 3 hides 8/9. Source: MAE's ablation, 2.
        random_offset: Whether the place inside the squares is drawn per image; otherwise it is the last.
            Source: MAE says nothing of it; a draw is ours.

    Raises:
        UserError: The grid is smaller than one square.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        *,
        stride: Annotated[int, Field(ge=2, le=32)] = 2,
        random_offset: bool = True,
    ) -> None:
        if min(grid) < stride:
            raise UserError(
                f"masking: squares of {stride} x {stride} do not fit into a grid of {grid[0]} x {grid[1]} "
                f"patches; set masking.stride to at most {min(grid)}, or smaller patches"
            )
        self._grid = grid
        self._stride = stride
        self._random_offset = random_offset

    def sample(self, batch: int, rng: torch.Generator) -> PatchMask:
        """Draw one mask per image, an offset down and an offset right."""
        rows, columns = (self._kept(side, batch, rng) for side in self._grid)
        visible = rows.unsqueeze(2) & columns.unsqueeze(1)
        num_visible = (self._grid[0] // self._stride) * (self._grid[1] // self._stride)
        return PatchMask.from_scores((~visible).flatten(1).float(), num_visible)

    def _kept(self, side: int, batch: int, rng: torch.Generator) -> torch.Tensor:
        """Which rows (or columns) of the grid hold visible patches, (B, side), bool."""
        # Smaller offsets than the remainder would keep one more.
        lowest = side % self._stride
        if self._random_offset:
            offsets = torch.randint(lowest, self._stride, (batch, 1), generator=rng)
        else:
            offsets = torch.full((batch, 1), self._stride - 1)
        return torch.arange(side) % self._stride == offsets
