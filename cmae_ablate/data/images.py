"""Images of prepared arrays on the device: bytes, floats in [0, 1], normalised and resized."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.data.resize import crop_resize
from cmae_ablate.data.uploads import upload


def to_unit(images: Tensor) -> Tensor:
    """Bytes to floats in [0, 1]."""
    return images.float().div_(255.0)


def normalise_(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract the mean of each channel and divide by its standard deviation, in place, (B, C, H, W)."""
    offset, scale = (_per_channel(tuple(values), images.dtype, images.device) for values in (mean, std))
    return images.sub_(offset).div_(scale)


@lru_cache(maxsize=16)
def _per_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return upload(torch.tensor(values, dtype=dtype).reshape(-1, 1, 1), device)


def take(split: Split, indices: np.ndarray, device: torch.device) -> Tensor:
    """Read images as bytes, (b, C, H, W), on the device; on a GPU from its own copy, where that fits."""
    if device.type == "cuda" and (held := _held(split, device)) is not None:
        return held.index_select(0, upload(torch.from_numpy(indices), device))
    return upload(torch.from_numpy(np.ascontiguousarray(split.images[indices])), device)


HELD_SHARE = 0.25
"""The most of a GPU's free memory that a copy of the training images may take."""
_copies: list[tuple[Split, torch.device, Tensor | None]] = []


def _held(split: Split, device: torch.device) -> Tensor | None:
    """The split on the device, copied at its first use; None where it would take too much of the memory."""
    for known, where, copy in _copies:
        if known is split and where == device:
            return copy
    free, _ = torch.cuda.mem_get_info(device)
    fits = split.images.nbytes <= HELD_SHARE * free
    found = torch.from_numpy(split.images).to(device) if fits else None
    # All cells of a worker share them; a study has three splits, and what came before them is let go.
    _copies[:] = [(split, device, found), *_copies[:2]]
    return found


@dataclass(frozen=True)
class WholeImages:
    """The images of a split, uncropped, normalised, at the encoder's size: see `protocols.ImageSource`."""

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
            whole = upload(torch.tensor([[0, 0, height, width]]), unit.device).expand(len(unit), 4)
            unit = crop_resize(unit, whole, self.image_size).clamp_(0.0, 1.0)
        return normalise_(unit, self.data.mean, self.data.std)
