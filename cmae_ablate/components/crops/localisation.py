"""What a look at all training images finds: their boxes, and how good these are. For measurement only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cmae_ablate.components.crop_sampling import CENTER, FULL
from cmae_ablate.components.crops.boxes import box_areas, box_ious, boxes_from_heatmaps
from cmae_ablate.components.crops.heatmaps import Heatmap, border_distance, encoder_heatmap
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.protocols import ImageSource

LOOK_BATCH = 256
BORDER_THRESHOLD = 0.5
COVERS = 0.9
"""A median box above this share of the image localises nothing."""


@dataclass(frozen=True)
class Found:
    """Boxes of n images, on the CPU, each (n, 4), float32.

    Attributes:
        boxes: By the encoder's heat maps, to crop by: the last edge is its pixel's near side, as published.
        regions: What these boxes cover, to measure: the last edge is its pixel's far side.
        border_regions: The same without a network, by the distance from the border's colour.
    """

    boxes: Tensor
    regions: Tensor
    border_regions: Tensor


def look(encoder: Encoder, images: ImageSource, heatmap: Heatmap, threshold: float, *, norm: bool) -> Found:
    """Find the boxes of all images.

    Args:
        encoder: In evaluation mode.
        images: n whole images.
        heatmap: Kind of map.
        threshold: Of the scaled map.
        norm: Whether maps are taken after the final LayerNorm.
    """
    found = [(torch.empty(0, 4),) * 3]
    for batch in images.batches(LOOK_BATCH):
        size = (batch.shape[-2], batch.shape[-1])
        boxes = boxes_from_heatmaps(encoder_heatmap(encoder, batch, heatmap, norm=norm), size, threshold)
        border = boxes_from_heatmaps(border_distance(batch), size, BORDER_THRESHOLD)
        found.append((boxes.cpu(), covered(boxes, size).cpu(), covered(border, size).cpu()))
    return Found(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def area_metrics(regions: Tensor) -> dict[str, float]:
    """Quantiles of the regions' areas, and 1 in `box_covers_image` where the median exceeds 0.9.

    Args:
        regions: (n, 4), n > 0.
    """
    quantiles = box_areas(regions).quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
    names = ("box_area_p10", "box_area_p50", "box_area_p90")
    return {**dict(zip(names, quantiles, strict=True)), "box_covers_image": float(quantiles[1] > COVERS)}


def iou_metrics(candidates: Mapping[str, Tensor], true_boxes: Tensor) -> dict[str, float]:
    """Mean IoU with the known boxes, of each candidate and of two that need no look at the image.

    Args:
        candidates: Regions (n, 4) by the name of their metric.
        true_boxes: (n, 4), NaN where unknown.

    Returns:
        Empty where no box is known.
    """
    known = ~true_boxes.isnan().any(dim=1)
    if not bool(known.any()):
        return {}
    constant = {"iou_full": torch.tensor([FULL]), "iou_center": torch.tensor([CENTER])}
    compared = {**{name: regions[known] for name, regions in candidates.items()}, **constant}
    return {name: float(box_ious(true_boxes[known], regions).mean()) for name, regions in compared.items()}


def covered(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """What published boxes cover: they end at their last pixel's near side, here at its far one."""
    pixel = torch.tensor([0.0, 0.0, 1 / size[0], 1 / size[1]], device=boxes.device)
    return (boxes + pixel).clamp(max=1.0)
