"""Batches of augmented views from prepared arrays: no decode, no per-sample Python, no state to resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cmae_ablate.arrays import DataArrays, Split
from cmae_ablate.ranks import Ranks
from cmae_ablate.resample import crop_resize
from cmae_ablate.runtime import stream
from cmae_ablate.slots import Augmentation, CropStrategy


def to_unit(images: Tensor) -> Tensor:
    """Bytes to floats in [0, 1]."""
    return images.float().div_(255.0)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract the mean of each channel and divide by its standard deviation, (B, C, H, W)."""
    shape = (1, -1, 1, 1)
    offset = torch.tensor(mean, dtype=images.dtype, device=images.device).reshape(shape)
    scale = torch.tensor(std, dtype=images.dtype, device=images.device).reshape(shape)
    return (images - offset).div_(scale)


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
    so any step can be made again from its epoch and step alone; a rank cuts out and keeps its share.
    """

    data: DataArrays
    crop: CropStrategy
    augmentation: Augmentation
    image_size: int
    batch_size: int
    seed: int
    device: torch.device
    ranks: Ranks = field(default_factory=Ranks)

    @property
    def steps(self) -> int:
        """Steps an epoch; an incomplete last batch is dropped, as in MAE."""
        return max(1, len(self.data.train.labels) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Image indices in the order of the epoch, (n,)."""
        count = len(self.data.train.labels)
        return torch.randperm(count, generator=stream(self.seed, "order", epoch)).numpy()

    def views(self, indices: np.ndarray, epoch: int, step: int, num_views: int) -> list[Tensor]:
        """Normalised views of this rank's share of the images `indices`, each (b, C, S, S)."""
        source = to_unit(take(self.data.train, indices[self.ranks.share(len(indices))], self.device))
        return [self._view(source, indices, epoch, step, view) for view in range(num_views)]

    def _view(self, source: Tensor, indices: np.ndarray, epoch: int, step: int, view: int) -> Tensor:
        where = (epoch, step, view)
        height, width = source.shape[2:]
        crops = self.crop.sample(torch.from_numpy(indices), height, width, stream(self.seed, "crop", *where))
        crops = crops[self.ranks.share(len(indices))]
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
