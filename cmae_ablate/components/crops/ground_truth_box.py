"""ContrastiveCrop with perfect localisation."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmae_ablate.components.crop_ranges import RatioRange, ScaleRange
from cmae_ablate.components.crop_sampling import FULL, RATIO, SCALE, sample_crops
from cmae_ablate.components.protocols import CROPS, CropStrategy
from cmae_ablate.errors import UserError


@CROPS.register("ground_truth_box", version=1)
class GroundTruthBoxCrop(CropStrategy):
    """Crops centred in the data set's own boxes: the bound on what localisation can bring.

    Source: a control of ours beside Peng et al., arXiv 2202.03278. Different here: the box is the
    annotation's, so it is no self-supervised method. Images without a box are treated as if
    the object filled them.

    Args:
        num_images: Images of the training set.
        true_boxes: Boxes of the data set, NaN where unknown.
        alpha: Parameter of the symmetric Beta distribution of the centre inside its range; 1 is uniform.
            Source: ContrastiveCrop, 0.6.
        scale: Smallest and largest area of the crop as a share of the image. Source: ContrastiveCrop and MAE,
            (0.2, 1).
        ratio: Smallest and largest width of the crop over its height. Source: torchvision, (3/4, 4/3).

    Raises:
        UserError: The data set has no box at all.
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
        unknown = true_boxes.isnan().any(dim=1, keepdim=True)
        if num_images and bool(unknown.all()):
            raise UserError(
                "crop: ground_truth_box needs boxes, and this data set has none; "
                "choose a data set with boxes (scenes, tiny_imagenet), or another crop"
            )
        self._boxes = torch.where(unknown, torch.tensor(FULL), true_boxes)
        self._crops = partial(sample_crops, alpha=alpha, scale=scale, ratio=ratio)

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels."""
        return self._crops(self._boxes[indices], height, width, rng=rng)
