"""Crop and resize a batch, each image by a crop of its own: bicubic, antialiased, a few taps a pixel."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

TABLE_BYTES = 32 * 2**20
"""The most that an axis's table of taps may take: all crops of an axis of 96 pixels need less."""
TABLE_PART = 256
"""Crops whose taps are computed at once."""
INDEX = torch.int32
"""Of a sample in a batch: two thousand million lines."""


def crop_resize(images: Tensor, crops: Tensor, size: int) -> Tensor:
    """Cut a crop from each image and resize it, rows first, then columns.

    Bicubic (Keys, a = -0.5) and antialiased when shrinking: the arithmetic of Pillow and of
    torchvision's `resize(antialias=True)` on the crop, before any rounding to bytes.

    Args:
        images: (B, C, H, W), floating point.
        crops: Top, left, height, width in pixels inside each image, (B, 4), int64.
        size: Side of the square result in pixels.

    Returns:
        (B, C, size, size); overshoot is not clamped.
    """
    height, width = images.shape[2:]
    rows = _resample_lines(images, crops[:, 0], crops[:, 2], height, size)
    columns = _resample_lines(rows.transpose(2, 3), crops[:, 1], crops[:, 3], width, size)
    return columns.transpose(2, 3).contiguous()


def _resample_lines(images: Tensor, start: Tensor, length: Tensor, source: int, size: int) -> Tensor:
    """Resample the third axis: (B, C, source, D) to (B, C, size, D), each line a weighted sum of a few."""
    batch, channels, _, width = images.shape
    index, weights = _taps(start, length, source, size, images.dtype)
    taps = weights.shape[2]
    offset = torch.arange(0, batch * channels * source, source, device=index.device, dtype=index.dtype)
    index = index.unsqueeze(1) + offset.reshape(batch, channels, 1, 1)
    weights = weights.unsqueeze(1).expand(-1, channels, -1, -1)
    lines = functional.embedding_bag(
        index.reshape(-1, taps),
        images.reshape(-1, width),
        per_sample_weights=weights.reshape(-1, taps),
        mode="sum",
    )
    return lines.reshape(batch, channels, size, width)


def _taps(start: Tensor, length: Tensor, source: int, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """As `_compute_taps`, looked up where those of all crops of an axis fit into little memory."""
    taps = source * (source + 1) // 2 * size * _num_taps(source, size)
    if taps * (INDEX.itemsize + dtype.itemsize) > TABLE_BYTES:
        return _compute_taps(start, length, source, size, dtype)
    rows, index, weights = _table(source, size, dtype, start.device)
    row = rows.index_select(0, start * (source + 1) + length)
    return index.index_select(0, row), weights.index_select(0, row)


@lru_cache(maxsize=4)
def _table(source: int, size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """On the device: each crop's row, by start * (source + 1) + length; taps and weights, row by row."""
    start, reach = torch.triu_indices(source, source)
    length = reach - start + 1
    rows = torch.full((source * (source + 1),), -1)
    rows[start * (source + 1) + length] = torch.arange(len(start))
    # In parts: what `_compute_taps` needs is many times what it gives.
    parts = zip(start.split(TABLE_PART), length.split(TABLE_PART), strict=True)
    index, weights = zip(*(_compute_taps(*part, source, size, dtype) for part in parts), strict=True)
    return rows.to(device), torch.cat(index).to(device), torch.cat(weights).to(device)


def _num_taps(source: int, size: int) -> int:
    """The most samples that any output of the axis draws on: the kernel is open, four steps wide."""
    return min(source, math.ceil(4 * max(1.0, source / size)))


def _compute_taps(
    start: Tensor, length: Tensor, source: int, size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Taps and weights that resample [start, start + length) of an axis to `size` samples.

    Args:
        start: (B,), int64.
        length: (B,), int64.
        source: Samples of the axis.
        size: Samples wanted.
        dtype: Of the weights.

    Returns:
        Samples that count, (B, size, taps), int32, neighbours; their weights, (B, size, taps).
    """
    step = length.to(dtype).reshape(-1, 1, 1) / size
    support = step.clamp(min=1.0)
    begin = start.to(dtype).reshape(-1, 1, 1)
    centre = begin + (torch.arange(size, device=start.device, dtype=dtype).reshape(1, -1, 1) + 0.5) * step
    position = torch.arange(source, device=start.device, dtype=dtype).reshape(1, 1, -1)
    distance = ((position + 0.5 - centre) / support).abs()
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    weights = torch.where(distance < 1.0, near, torch.where(distance < 2.0, far, torch.zeros_like(far)))
    inside = (position >= begin) & (position < begin + length.to(dtype).reshape(-1, 1, 1))
    weights = weights * inside
    weights = weights / weights.sum(dim=2, keepdim=True)
    taps = _num_taps(source, size)
    first = (weights != 0).int().argmax(dim=2).clamp(max=source - taps)
    index = first.unsqueeze(2) + torch.arange(taps, device=start.device)
    return index.to(INDEX), weights.gather(2, index)
