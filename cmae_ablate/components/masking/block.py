"""Block-wise masking."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmae_ablate.components.mask_ratio import count_visible
from cmae_ablate.components.protocols import MASKINGS
from cmae_ablate.tokens import PatchMask

LARGEST_ASPECT = 1 / 0.3
"""Blocks are at most this many times taller than wide, or wider than tall, as in BEiT."""

_FEW = 8


@MASKINGS.register("block", version=1)
class BlockMasking:
    """Hide random rectangles of patches until the number is reached, BEiT's masking.

    Source: Bao et al., BEiT, arXiv 2106.08254, algorithm 1; MAE's ablation of mask sampling uses it (at
    ratio 0.5 it comes near random masking there, at 0.75 it is worse). A block's area is uniform between
    `min_patches` and what is still missing, its aspect log-uniform in [0.3, 1 / 0.3]. Different here: the
    last block, which may overshoot there, is thinned at random, so that every image hides equally many.

    Args:
        grid: Patches per column and per row.
        ratio: Part of the patches that is hidden; `int(N * (1 - ratio))` stay visible. Source: BEiT, 0.4;
            MAE's ablation, 0.5 and 0.75; here MAE's default.
        min_patches: Smallest area of a block, in patches. Source: BEiT, 16.

    Raises:
        UserError: The ratio leaves nothing visible or nothing hidden.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        *,
        ratio: Annotated[float, Field(gt=0, lt=1)] = 0.75,
        min_patches: Annotated[int, Field(ge=1, le=4096)] = 16,
    ) -> None:
        self._grid = grid
        self._num_visible = count_visible(grid, ratio)
        self._min_patches = min_patches

    def sample(self, batch: int, rng: torch.Generator) -> PatchMask:
        """Draw one mask per image; how many numbers are drawn depends on the batch's slowest image."""
        hidden = torch.zeros(batch, *self._grid, dtype=torch.bool)
        missing = torch.full((batch,), self._grid[0] * self._grid[1] - self._num_visible)
        # Numbers are drawn for all images each time, and looked at for those that are not done.
        while len(rows := missing.nonzero()[:, 0]):
            draws = torch.rand(4, batch, generator=rng)
            added = self._blocks(missing, draws, rows) & ~hidden[rows]
            overshoots = added.sum(dim=(1, 2)) > missing[rows]
            if bool(overshoots.any()) or self._hits_where_done(hidden, missing, draws):
                scores = torch.rand(hidden.shape, generator=rng)
                last = rows[overshoots]
                added[overshoots] = _thin(added[overshoots], missing[last], scores[last])
            hidden[rows] |= added
            missing[rows] -= added.sum(dim=(1, 2))
        return PatchMask.from_scores(hidden.flatten(1).float(), self._num_visible)

    def _blocks(self, missing: Tensor, draws: Tensor, rows: Tensor) -> Tensor:
        """A rectangle for each of some images (b,), (b, rows, columns), bool; `missing` (B,) bounds areas."""
        draws = draws[:, rows]
        largest = missing[rows].clamp(min=self._min_patches)
        area = self._min_patches + draws[0] * (largest - self._min_patches)
        aspect = ((2 * draws[1] - 1) * math.log(LARGEST_ASPECT)).exp()
        spans = [
            _span(length, side, draw)
            for length, side, draw in zip(
                ((area * aspect).sqrt(), (area / aspect).sqrt()), self._grid, draws[2:], strict=True
            )
        ]
        return spans[0].unsqueeze(2) & spans[1].unsqueeze(1)

    def _hits_where_done(self, hidden: Tensor, missing: Tensor, draws: Tensor) -> bool:
        """Whether the rectangle of an image that is done would hide more: then, too, numbers are drawn."""
        # The first few that are done nearly always tell.
        done = (missing == 0).nonzero()[:, 0]
        few, rest = done[:_FEW], done[_FEW:]
        return any(bool((self._blocks(missing, draws, some) & ~hidden[some]).any()) for some in (few, rest))


def _span(length: Tensor, side: int, draw: Tensor) -> Tensor:
    """A run of about `length` places at a uniform place on a line of `side`, (B, side), bool."""
    whole = length.round().clamp(1, side).unsqueeze(1)
    start = (draw.unsqueeze(1) * (side - whole + 1)).floor()
    places = torch.arange(side)
    return (places >= start) & (places < start + whole)


def _thin(added: Tensor, missing: Tensor, scores: Tensor) -> Tensor:
    """Of each image's `added` patches the `missing` (b,) of smallest scores; (b, rows, columns)."""
    order = scores.masked_fill(~added, 2.0).flatten(1).argsort(dim=1)
    chosen = torch.zeros_like(order, dtype=torch.bool)
    chosen.scatter_(1, order, torch.arange(order.shape[1]) < missing.unsqueeze(1))
    return added & chosen.view_as(added)
