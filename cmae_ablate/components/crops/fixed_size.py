"""Crops of one size: no random area, no random aspect."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmae_ablate.components.protocols import CROPS, CropStrategy


@CROPS.register("fixed_size", version=1)
class FixedSizeCrop(CropStrategy):
    """Crops of one size: some views always from the top left corner, the others from anywhere.

    Source: SDMAE, the later code of CMAE's first author: images resized to 256 pixels, one view the top left
    224, the other 224 at a random place; no random area, and no ContrastiveCrop. Different here: crops are
    cut from the stored image before it is resized, so that places are whole pixels of it (SDMAE: of 256),
    and nothing beyond the crop's edge is seen by the interpolation.

    Args:
        num_images: Ignored.
        true_boxes: Ignored.
        side: Height and width of the crop as a share of the image's. Source: SDMAE, 224 of 256, 0.875.
        corner_views: Which views are cut from the top left corner, counted from 0. Source: SDMAE, one of two.
    """

    def __init__(
        self,
        num_images: int,
        true_boxes: Tensor,
        *,
        side: Annotated[float, Field(gt=0, le=1)] = 0.875,
        corner_views: tuple[Annotated[int, Field(ge=0)], ...] = (0,),
    ) -> None:
        self._side = side
        self._corner_views = frozenset(corner_views)

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels."""
        sides = torch.tensor([max(1, round(self._side * extent)) for extent in (height, width)])
        # Drawn for every view, so that no view's place depends on which others are fixed.
        places = torch.rand(len(indices), 2, generator=rng, dtype=torch.float64)
        room = torch.tensor([height, width]) - sides + 1
        starts = (places * room).long()
        if view in self._corner_views:
            starts = torch.zeros_like(starts)
        return torch.cat([starts, sides.expand(len(indices), 2)], dim=1)
