"""ContrastiveCrop whose box is the whole image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmae_ablate.components.crop_ranges import RatioRange, ScaleRange
from cmae_ablate.components.crop_sampling import (
    FULL,
    PUBLISHED,
    RATIO,
    SCALE,
    SPAN,
    sample_from_the_end_of_warmup,
)
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.protocols import CROPS, ImageSource


@CROPS.register("full_box", version=1, warmup="warmup_epochs", spans={"warmup_epochs": SPAN})
class FullBoxCrop:
    """ContrastiveCrop with the whole image as every box: its sampling, nothing found.

    Source: a control of ours beside Peng et al., arXiv 2202.03278. Different here: boxes are the whole
    image instead of the heat map's; sizes, Beta-distributed centre and warm-up are those of `contrastive`.
    What `contrastive` gains over it is due to finding objects, what it gains over `random_resized` due to
    where crops lie when nothing is found: a Beta distribution with alpha below 1 seeks the edges. Of crops of
    224-pixel images that could lie elsewhere, 35 % lie in the outer tenths of their range, top and bottom (or
    left and right) together, against 23 % of plain ones; at 64 pixels, where ranges are few pixels long, 34 %
    against 28 %.

    Args:
        num_images: Images of the training set.
        true_boxes: Ignored.
        alpha: Parameter of the symmetric Beta distribution of the centre inside its range; 1 is uniform.
            Source: ContrastiveCrop, 0.6; on Tiny-ImageNet 0.1.
        warmup_epochs: Epochs of plain crops before; None is a fifth of the training's. Source:
            ContrastiveCrop on Tiny-ImageNet, 100 of 500.
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
        warmup_epochs: Annotated[int, Field(ge=0)] | None = None,
        scale: ScaleRange = SCALE,
        ratio: RatioRange = RATIO,
    ) -> None:
        self._warmup_epochs = PUBLISHED if warmup_epochs is None else warmup_epochs
        self._crops = partial(sample_from_the_end_of_warmup, alpha=alpha, scale=scale, ratio=ratio)
        # NaN until the warm-up ends.
        self._boxes = torch.full((num_images, 4), float("nan"))

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels."""
        return self._crops(self._boxes[indices], height, width, rng=rng)

    def refresh(self, epoch: int, encoder: Encoder, images: ImageSource) -> None:
        """Nothing to look at; the boxes serve from the end of the warm-up on."""
        if epoch >= self._warmup_epochs:
            self._boxes = torch.tensor(FULL).repeat(len(self._boxes), 1)

    def state_dict(self) -> dict[str, Tensor]:
        """The boxes, NaN before the warm-up's end."""
        return {"boxes": self._boxes}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self._boxes = state["boxes"]
