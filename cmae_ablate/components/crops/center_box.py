"""ContrastiveCrop without its localisation."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmae_ablate.components.crop_ranges import RatioRange, ScaleRange
from cmae_ablate.components.crop_sampling import CENTER, RATIO, SCALE, sample_crops
from cmae_ablate.components.protocols import CROPS, CropStrategy


@CROPS.register("center_box", version=1)
class CenterBoxCrop(CropStrategy):
    """Crops centred in the middle half of every image: ContrastiveCrop's sampling, no localisation.

    Source: a control of ours beside Peng et al., arXiv 2202.03278. Different here: one fixed box for all
    images. It says whether a gain of `contrastive` comes from where objects are, or from leaving
    the margins alone.

    Args:
        num_images: Ignored.
        true_boxes: Ignored.
        alpha: Parameter of the symmetric Beta distribution of the centre inside its range; 1 is uniform.
            Source: ContrastiveCrop, 0.6.
        scale: Smallest and largest area of the crop as a share of the image. Source: ContrastiveCrop and MAE,
            (0.2, 1).
        ratio: Smallest and largest width of the crop over its height. Source: torchvision, (3/4, 4/3).
    """

    def __init__(
        self,
        num_images: int,
        true_boxes: Tensor,
        *,
        alpha: Annotated[float, Field(gt=0, le=100)] = 0.6,
        scale: ScaleRange = SCALE,
        ratio: RatioRange = RATIO,
    ) -> None:
        self._crops = partial(sample_crops, alpha=alpha, scale=scale, ratio=ratio)

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels."""
        return self._crops(torch.tensor(CENTER).expand(len(indices), 4), height, width, rng=rng)
