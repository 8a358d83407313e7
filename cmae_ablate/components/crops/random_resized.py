"""MAE's crop."""

from __future__ import annotations

import torch
from torch import Tensor

from cmae_ablate.components.crop_ranges import RatioRange, ScaleRange
from cmae_ablate.components.crop_sampling import RATIO, SCALE, anywhere, crop_sizes, draw
from cmae_ablate.components.protocols import CROPS, CropStrategy


@CROPS.register("random_resized", version=1)
class RandomResizedCrop(CropStrategy):
    """Crops of random area and aspect ratio anywhere in the image: MAE's default.

    Source: torchvision's RandomResizedCrop, whose distribution it has, with MAE's scale. Different here:
    drawn for a whole batch, from the generator given and no other.

    Args:
        num_images: Ignored.
        true_boxes: Ignored.
        scale: Smallest and largest area of the crop as a share of the image. Source: MAE, (0.2, 1).
        ratio: Smallest and largest width of the crop over its height. Source: torchvision and MAE, (3/4,
            4/3).
    """

    def __init__(
        self, num_images: int, true_boxes: Tensor, *, scale: ScaleRange = SCALE, ratio: RatioRange = RATIO
    ) -> None:
        self._scale = scale
        self._ratio = ratio

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels."""
        draws = draw(len(indices), rng)
        sizes = crop_sizes(height, width, self._scale, self._ratio, draws)
        return anywhere(height, width, sizes, draws.places)
