"""Histograms of oriented gradients as target."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cmae_ablate.components.protocols import TARGETS
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask, gather_tokens

COLOURS = 3


@TARGETS.register("hog", version=1)
class HogTarget:
    """Histograms of oriented gradients of the hidden patches, MaskFeat's target.

    Source: Wei et al., Masked Feature Prediction for Self-Supervised Visual Pre-Training, arXiv 2112.09133,
    after Dalal and Triggs. As there: Sobel gradients of each colour channel by itself, orientations without
    sign in hard bins, weighted by magnitude, summed over the cell, every cell's histogram of L2 norm 1.
    Gradients are taken on the whole image, so a cell's border knows its neighbours. Different here: the
    images are normalised by the data set's channel statistics; as the histograms are normalised per
    channel, this changes nothing but the few that are flat.

    Args:
        patch_size: P, in pixels.
        bins: Orientations in [0, pi) of a histogram. Source: MaskFeat, 9.
        cell: Side of a cell in pixels; must divide the patch. Larger than the patch counts as the patch.
            Source: MaskFeat, 8.

    Raises:
        UserError: The cell does not divide the patch.
    """

    def __init__(
        self,
        patch_size: int,
        *,
        bins: Annotated[int, Field(ge=2, le=36)] = 9,
        cell: Annotated[int, Field(ge=1, le=256)] = 8,
    ) -> None:
        self._bins = bins
        self._cell = min(cell, patch_size)
        if patch_size % self._cell:
            fitting = [size for size in range(1, patch_size + 1) if patch_size % size == 0]
            raise UserError(
                f"target: hog cells of {cell} pixels do not divide patches of {patch_size}; "
                f"set target.cell to {', '.join(map(str, fitting))}"
            )
        self._patch_size = patch_size

    def dim(self) -> int:
        """Cells of a patch, times 3 colours, times bins."""
        return (self._patch_size // self._cell) ** 2 * COLOURS * self._bins

    def __call__(self, images: Tensor, mask: PatchMask) -> Tensor:
        """Histograms of hidden patches, (B, M, dim): by cell row, cell column, colour, bin."""
        histograms = self._histograms(images)
        batch, _, _, rows, columns = histograms.shape
        side = self._patch_size // self._cell
        cut = histograms.reshape(
            batch, COLOURS, self._bins, rows // side, side, columns // side, side
        )  # (B, C, bins, patch row, cell row, patch column, cell column)
        patches = cut.permute(0, 3, 5, 4, 6, 1, 2).reshape(batch, -1, self.dim())
        return gather_tokens(patches, mask.ids_hidden)

    def to_pixels(self, predictions: Tensor, images: Tensor, mask: PatchMask) -> None:
        """None: a histogram is no picture."""

    def _histograms(self, images: Tensor) -> Tensor:
        """One histogram for each cell of the images, (B, 3, bins, rows of cells, columns of cells)."""
        vertical, horizontal = _sobel(images.float())
        magnitude = (vertical.square() + horizontal.square()).sqrt()
        turn = torch.atan2(vertical, horizontal) / math.pi * self._bins
        # An orientation and its opposite share a bin: angles in [-pi, 0) are folded up by the modulus.
        index = turn.floor().long() % self._bins
        votes = torch.zeros(
            (*magnitude.shape[:2], self._bins, *magnitude.shape[2:]), device=images.device
        ).scatter(2, index.unsqueeze(2), magnitude.unsqueeze(2))
        cells = functional.avg_pool2d(votes.flatten(0, 1), self._cell).unflatten(0, votes.shape[:2])
        return functional.normalize(cells, dim=2)


def _sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel derivatives down and to the right of each channel, reflected at the border, (B, C, H, W) each."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="reflect")
    top, middle, bottom = padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :]
    down = _smooth_columns(bottom - top)
    across = top + 2 * middle + bottom
    return down, across[..., 2:] - across[..., :-2]


def _smooth_columns(rows: Tensor) -> Tensor:
    return rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]
