"""No crop."""

from __future__ import annotations

import torch
from torch import Tensor

from cmae_ablate.components.protocols import CROPS, CropStrategy


@CROPS.register("full", version=1)
class FullCrop(CropStrategy):
    """The whole image, every time: what cropping itself brings.

    Source: a control of ours. Different here: nothing to differ from.

    Args:
        num_images: Ignored.
        true_boxes: Ignored.
    """

    def __init__(self, num_images: int, true_boxes: Tensor) -> None:
        pass

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels."""
        return torch.tensor([0, 0, height, width]).expand(len(indices), 4)
