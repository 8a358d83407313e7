"""Crop and resize a batch, each image by a crop of its own: bicubic, antialiased, a few taps a pixel."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

TABLE_BYTES = 256 * 2**20
"""The most that an axis's table of taps may take: all crops of an axis of 224 pixels need less."""
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
    """As `_compute_taps`, looked up where all that there can be on an axis fits into little memory."""
    taps = source * (source + 1) // 2 * size * _num_taps(source, size)
    if start.device.type != "cpu" or taps * (INDEX.itemsize + dtype.itemsize) > TABLE_BYTES:
        return _compute_taps(start, length, source, size, dtype)
    return _table(source, size, dtype)(start, length)


class _TapTable:
    """Each crop's taps on one axis, computed when they are first asked for.

    The memory is reserved, not touched, until then.
    """

    def __init__(self, source: int, size: int, dtype: torch.dtype) -> None:
        self._source, self._size, self._dtype = source, size, dtype
        crops = source * (source + 1) // 2
        self._places = torch.full((source * (source + 1),), -1)
        self._index = torch.empty(crops, size, _num_taps(source, size), dtype=INDEX)
        self._weights = torch.empty(self._index.shape, dtype=dtype)
        self._filled = 0

    def __call__(self, start: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        keys = start * (self._source + 1) + length
        places = self._places[keys]
        if bool((places < 0).any()):
            self._compute(torch.tensor(sorted(set(keys[places < 0].tolist()))))
            places = self._places[keys]
        return self._index.index_select(0, places), self._weights.index_select(0, places)

    def _compute(self, keys: Tensor) -> None:
        start, length = keys // (self._source + 1), keys % (self._source + 1)
        end = self._filled + len(keys)
        index, weights = _compute_taps(start, length, self._source, self._size, self._dtype)
        self._index[self._filled : end] = index
        self._weights[self._filled : end] = weights
        self._places[keys] = torch.arange(self._filled, end)
        self._filled = end


_table = lru_cache(maxsize=4)(_TapTable)


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
