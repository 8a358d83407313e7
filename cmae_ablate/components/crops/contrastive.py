"""ContrastiveCrop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmae_ablate.components.crop_ranges import RatioRange, ScaleRange
from cmae_ablate.components.crop_sampling import (
    PUBLISHED,
    RATIO,
    SCALE,
    SPAN,
    sample_crops,
    sample_from_the_end_of_warmup,
)
from cmae_ablate.components.crops.boxes import boxes_from_heatmaps
from cmae_ablate.components.crops.heatmaps import Heatmap, encoder_heatmap, heatmap_words
from cmae_ablate.components.crops.localisation import area_metrics, iou_metrics, look
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.protocols import CROPS, ImageSource, Refresh

__all__ = ["ContrastiveCrop", "boxes_from_heatmaps", "sample_crops"]


@CROPS.register(
    "contrastive", version=1, warmup="warmup_epochs", spans={"warmup_epochs": SPAN, "interval": SPAN}
)
class ContrastiveCrop:
    """ContrastiveCrop: crops centred in a box that the encoder's own heat map draws around the object.

    Source: Peng et al., arXiv 2202.03278, and its code. Boxes are first computed when the warm-up ends,
    then every `interval` epochs; until then crops are those of `random_resized`, number for number.
    Different here: the heat map comes from a ViT's patch tokens before the final LayerNorm (there: the
    last feature map of a ResNet, summed over channels); constant maps give the whole image.

    On a ViT the published rule often draws the box around the whole image, and then finds nothing, as CMAE's
    first author, too, reported of MoCo v3's ViT (ContrastiveCrop's repository, issue 15, June 2022; its
    authors advise thresholds of 0.3 to 0.5 there). Compare with `full_box`, which differs by the
    localisation alone. Each refresh measures the boxes: `box_area_p10`, `_p50`, `_p90`; `box_covers_image`,
    1 where the median exceeds 0.9; and, where the data set has boxes (they serve for nothing else), the
    mean IoU with them (`iou`) beside baselines: whole image (`iou_full`), middle half (`iou_center`),
    distance from the border's mean colour (`iou_border`) and, once before training, the random encoder
    (`iou_random_init`).

    Args:
        num_images: Images of the training set.
        true_boxes: Boxes of the data set, NaN where unknown; only measured against.
        heatmap: `channel_sum`, `feature_norm`, `class_attention` of the last block, or `first_component` of
            each image's patch tokens. Source: ContrastiveCrop, `channel_sum`.
        norm: Take tokens after the final LayerNorm, where sums and norms are degenerate (not used by
            `class_attention`). Source: ours; ContrastiveCrop's ResNets have no such norm.
        threshold: What of the map, scaled to [0, 1], is inside the box. Source: ContrastiveCrop, 0.05 or 0.1;
            its authors for ViTs, 0.3 to 0.5.
        alpha: Parameter of the symmetric Beta distribution of the centre inside its range; 1 is uniform.
            Source: ContrastiveCrop, 0.6; on Tiny-ImageNet 0.1.
        warmup_epochs: Epochs before boxes are first computed; None is a fifth of the training's. Source:
            ContrastiveCrop on Tiny-ImageNet, 100 of 500.
        interval: Epochs from one computation to the next; None is a fifth of the training's. Source:
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
        heatmap: Heatmap = "channel_sum",
        norm: bool = False,
        threshold: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        alpha: Annotated[float, Field(gt=0, le=100)] = 0.6,
        warmup_epochs: Annotated[int, Field(ge=0)] | None = None,
        interval: Annotated[int, Field(ge=1)] | None = None,
        scale: ScaleRange = SCALE,
        ratio: RatioRange = RATIO,
    ) -> None:
        self._true_boxes = true_boxes.float()
        self._kind: Heatmap = heatmap
        self.heatmap_name = heatmap_words(heatmap, norm=norm)
        self._norm = norm
        self.threshold = threshold
        self._warmup_epochs = PUBLISHED if warmup_epochs is None else warmup_epochs
        self._interval = PUBLISHED if interval is None else interval
        self._crops = partial(sample_from_the_end_of_warmup, alpha=alpha, scale=scale, ratio=ratio)
        # NaN until computed.
        self._boxes = torch.full((num_images, 4), float("nan"))

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels."""
        return self._crops(self._boxes[indices], height, width, rng=rng)

    def refresh(self, epoch: int, encoder: Encoder, images: ImageSource) -> Refresh | None:
        """Compute the boxes if it is time; before the first epoch, measure those of the random encoder."""
        since = epoch - self._warmup_epochs
        due = since >= 0 and since % self._interval == 0
        measured = epoch == 0 and not bool(self._true_boxes.isnan().any(dim=1).all())
        if not (due or measured):
            return None
        found = look(encoder, images, self._kind, self.threshold, norm=self._norm)
        assert len(found.boxes) == len(self._boxes), "the image source is not the training set"
        # Before the first step the encoder is the random one, whether or not its boxes serve.
        names = (["iou"] if due else []) + (["iou_random_init"] if epoch == 0 else [])
        regions = {**dict.fromkeys(names, found.regions), "iou_border": found.border_regions}
        metrics = iou_metrics(regions, self._true_boxes)
        if due:
            self._boxes = found.boxes
            metrics |= area_metrics(found.regions)
        return Refresh(metrics)

    def refresh_epochs(self, epochs: int) -> Sequence[int]:
        """Before the first, to measure the random encoder, and whenever boxes are computed."""
        return sorted({0, *range(self._warmup_epochs, epochs, self._interval)})

    def heatmap(self, encoder: Encoder, images: Tensor) -> Tensor:
        """The maps that boxes are drawn around."""
        return encoder_heatmap(encoder, images, self._kind, norm=self._norm)

    def state_dict(self) -> dict[str, Tensor]:
        """The boxes, NaN before the warm-up's end."""
        return {"boxes": self._boxes}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self._boxes = state["boxes"]
