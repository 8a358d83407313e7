"""Boxes around objects: top, left, bottom, right as fractions of the image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def boxes_from_heatmaps(maps: Tensor, size: tuple[int, int], threshold: float = 0.1) -> Tensor:
    """Boxes around what is hot, by the published arithmetic of ContrastiveCrop (arXiv 2202.03278).

    Each map is scaled to [0, 1] by its own minimum and maximum and resized bilinearly
    (`align_corners=False`); the box is the first and the last row and column whose maximum exceeds the
    threshold, over the size. So the last edge is that of its pixel's *near* side, as published: a map
    hot in all four corners gives (0, 0, 63/64, 63/64) at 64 pixels.

    A constant map, or one in which nothing exceeds the threshold after resizing, tells nothing: its box
    is the whole image (the published code divides by zero).

    Args:
        maps: Raw maps, (B, h, w). B may be 0.
        size: Height and width to resize to: those of the image, in pixels.
        threshold: In [0, 1).

    Returns:
        (B, 4), float32, on the device of `maps`.
    """
    maps = maps.float()
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    scaled = (maps - low) / (high - low)
    if len(maps):
        scaled = functional.interpolate(scaled.unsqueeze(1), size=size, mode="bilinear")[:, 0]
    # A constant map is NaN here, which exceeds no threshold.
    hot = scaled > threshold
    top, bottom = _first_and_last(hot.any(dim=2))
    left, right = _first_and_last(hot.any(dim=1))
    boxes = torch.stack([top / size[0], left / size[1], bottom / size[0], right / size[1]], dim=1)
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=maps.device)
    return torch.where(hot.any(dim=(1, 2)).unsqueeze(1), boxes, whole)


def box_areas(boxes: Tensor) -> Tensor:
    """Areas as fractions of the image, (n, 4) to (n,)."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    return sides.prod(dim=1)


def box_ious(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes pair by pair.

    Args:
        boxes: (n, 4).
        others: (n, 4), or (1, 4) to compare all with one.

    Returns:
        In [0, 1], (n,); 0 where both boxes are empty, NaN where one is unknown.
    """
    shared = torch.cat(
        [torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:])], dim=1
    )
    intersection = box_areas(shared)
    union = box_areas(boxes) + box_areas(others) - intersection
    return torch.where(union == 0, union, intersection / union)


def _first_and_last(hot: Tensor) -> tuple[Tensor, Tensor]:
    hot = hot.int()
    return hot.argmax(dim=1), hot.shape[1] - 1 - hot.flip(1).argmax(dim=1)
