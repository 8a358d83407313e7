"""Batches of augmented views from prepared arrays: no decode, no per-sample Python, no state to resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from cmae_ablate.arrays import DataArrays, Split
from cmae_ablate.runtime import stream
from cmae_ablate.slots import Augmentation, CropStrategy

TABLE_BYTES = 64 * 2**20
"""The most that a table of resampling weights may take: all crops of an axis of 64 pixels are half of it."""


def crop_resize(images: Tensor, crops: Tensor, size: int) -> Tensor:
    """Cut a crop from each image and resize it, as two banded matrix products.

    Bicubic (Keys, a = -0.5) and antialiased when shrinking: the arithmetic of Pillow and of
    torchvision's `resize(antialias=True)` on the crop, before any rounding to bytes.

    Args:
        images: (B, C, H, W), floating point.
        crops: Top, left, height, width in pixels inside each image, (B, 4), int64.
        size: Side of the square result in pixels.

    Returns:
        (B, C, size, size); overshoot is not clamped.
    """
    rows = _weights(crops[:, 0], crops[:, 2], images.shape[2], size, images.dtype)
    columns = _weights(crops[:, 1], crops[:, 3], images.shape[3], size, images.dtype)
    return rows.unsqueeze(1) @ images @ columns.transpose(1, 2).unsqueeze(1)


def to_unit(images: Tensor) -> Tensor:
    """Bytes to floats in [0, 1]."""
    return images.float().div_(255.0)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract the mean of each channel and divide by its standard deviation, (B, C, H, W)."""
    shape = (1, -1, 1, 1)
    offset = torch.tensor(mean, dtype=images.dtype, device=images.device).reshape(shape)
    scale = torch.tensor(std, dtype=images.dtype, device=images.device).reshape(shape)
    return (images - offset) / scale


def take(split: Split, indices: np.ndarray, device: torch.device) -> Tensor:
    """Read images as bytes, (b, C, H, W), on the device."""
    chosen = torch.from_numpy(np.ascontiguousarray(split.images[indices]))
    if device.type == "cuda":
        return chosen.pin_memory().to(device, non_blocking=True)
    return chosen


@dataclass(frozen=True)
class TrainingViews:
    """The training images of one cell as batches of views.

    Every number comes from a stream named by (slot, epoch, step, view), drawn for the whole batch,
    so any step can be made again from its epoch and step alone.
    """

    data: DataArrays
    crop: CropStrategy
    augmentation: Augmentation
    image_size: int
    batch_size: int
    seed: int
    device: torch.device

    @property
    def steps(self) -> int:
        """Steps an epoch; an incomplete last batch is dropped, as in MAE."""
        return max(1, len(self.data.train.labels) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Image indices in the order of the epoch, (n,)."""
        count = len(self.data.train.labels)
        return torch.randperm(count, generator=stream(self.seed, "order", epoch)).numpy()

    def views(self, indices: np.ndarray, epoch: int, step: int, num_views: int) -> list[Tensor]:
        """Normalised views of the images `indices`, each (b, C, S, S)."""
        source = to_unit(take(self.data.train, indices, self.device))
        return [self._view(source, indices, epoch, step, view) for view in range(num_views)]

    def _view(self, source: Tensor, indices: np.ndarray, epoch: int, step: int, view: int) -> Tensor:
        where = (epoch, step, view)
        height, width = source.shape[2:]
        crops = self.crop.sample(torch.from_numpy(indices), height, width, stream(self.seed, "crop", *where))
        cut = crop_resize(source, crops.to(self.device), self.image_size).clamp_(0.0, 1.0)
        changed = self.augmentation(cut, view, stream(self.seed, "augmentation", *where))
        return normalise(changed, self.data.mean, self.data.std)


@dataclass(frozen=True)
class WholeImages:
    """The images of a split, uncropped, normalised, at the encoder's size: see `slots.ImageSource`."""

    data: DataArrays
    split: Split
    image_size: int
    device: torch.device

    def __len__(self) -> int:
        return len(self.split.labels)

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """All images in order, (b, C, S, S)."""
        for start in range(0, len(self), batch_size):
            indices = np.arange(start, min(start + batch_size, len(self)))
            yield self.prepare(take(self.split, indices, self.device))

    def prepare(self, images: Tensor) -> Tensor:
        """Bytes (b, C, H, W) to normalised floats at the encoder's size."""
        unit = to_unit(images)
        height, width = unit.shape[2:]
        if (height, width) != (self.image_size, self.image_size):
            whole = torch.tensor([[0, 0, height, width]], device=unit.device).expand(len(unit), 4)
            unit = crop_resize(unit, whole, self.image_size).clamp_(0.0, 1.0)
        return normalise(unit, self.data.mean, self.data.std)


def _weights(start: Tensor, length: Tensor, source: int, size: int, dtype: torch.dtype) -> Tensor:
    """As `_resample_weights`, looked up where all that there can be on an axis fits into little memory."""
    crops = source * (source + 1) // 2
    if start.device.type != "cpu" or crops * size * source * dtype.itemsize > TABLE_BYTES:
        return _resample_weights(start, length, source, size, dtype)
    return _table(source, size, dtype)(start, length)


class _WeightTable:
    """Each crop's weights on one axis, computed when they are first asked for: a tenth of a step else.

    The memory is reserved, not touched, until then.
    """

    def __init__(self, source: int, size: int, dtype: torch.dtype) -> None:
        self._source, self._size, self._dtype = source, size, dtype
        self._places = torch.full((source * (source + 1),), -1)
        self._rows = torch.empty(source * (source + 1) // 2, size, source, dtype=dtype)
        self._filled = 0

    def __call__(self, start: Tensor, length: Tensor) -> Tensor:
        """Weights of crops (B,), (B, size, source)."""
        keys = start * (self._source + 1) + length
        places = self._places[keys]
        if bool((places < 0).any()):
            self._compute(torch.tensor(sorted(set(keys[places < 0].tolist()))))
            places = self._places[keys]
        return self._rows[places]

    def _compute(self, keys: Tensor) -> None:
        start, length = keys // (self._source + 1), keys % (self._source + 1)
        end = self._filled + len(keys)
        rows = _resample_weights(start, length, self._source, self._size, self._dtype)
        self._rows[self._filled : end] = rows
        self._places[keys] = torch.arange(self._filled, end)
        self._filled = end


_table = lru_cache(maxsize=4)(_WeightTable)


def _resample_weights(start: Tensor, length: Tensor, source: int, size: int, dtype: torch.dtype) -> Tensor:
    """Weights that resample [start, start + length) of an axis to `size` samples, (B, size, source)."""
    step = length.to(dtype).reshape(-1, 1, 1) / size
    support = step.clamp(min=1.0)
    first = start.to(dtype).reshape(-1, 1, 1)
    centre = first + (torch.arange(size, device=start.device, dtype=dtype).reshape(1, -1, 1) + 0.5) * step
    position = torch.arange(source, device=start.device, dtype=dtype).reshape(1, 1, -1)
    distance = ((position + 0.5 - centre) / support).abs()
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    weights = torch.where(distance < 1.0, near, torch.where(distance < 2.0, far, torch.zeros_like(far)))
    inside = (position >= first) & (position < first + length.to(dtype).reshape(-1, 1, 1))
    weights = weights * inside
    return weights / weights.sum(dim=2, keepdim=True)
