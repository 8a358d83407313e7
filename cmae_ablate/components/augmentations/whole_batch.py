"""The operations of `pixel_ops` on whole batches, for devices: no image is picked out.

Picking images out costs less arithmetic and, on a GPU, more time: the host waits for each upload of places,
and hundreds of small launches follow. Here one table says what happens to each image; whom an operation
spares has its neutral amount there. Shapes as in `pixel_ops`; numbers are equal to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cmae_ablate.components.augmentations import pixel_ops
from cmae_ablate.data.uploads import upload_together

TURNS = 4
"""Jitters of an image, one after the other."""
_SMALLEST = 1e-20
_SECTORS = (5.0, 3.0, 1.0)
"""Where red, green and blue begin on the colour circle, in sixths."""


@dataclass(frozen=True)
class Changes:
    """What happens to each image of a batch; per image (B,), float32, on one device.

    Attributes:
        flip: 1 where it is mirrored, else 0.
        factors: Of the blend of each turn, (4, B); 1 changes nothing.
        mean_grey: 1 where a turn blends with the image's mean grey, (4, B); else with black or
        grey: with the grey image, (4, B).
        sixths: What a turn adds to the hue, in sixths of the circle, (4, B); 0 leaves the image alone.
        greyscale: 1 where colour is taken out.
        kernels: Of the blur, (B, taps); a one amid zeros blurs nothing.
        solarize: 1 where bright pixels are inverted.
    """

    flip: Tensor
    factors: Tensor
    mean_grey: Tensor
    grey: Tensor
    sixths: Tensor
    greyscale: Tensor
    kernels: Tensor
    solarize: Tensor

    def to(self, device: torch.device) -> Changes:
        """The same on a device, by one copy."""
        return Changes(*upload_together([part.float() for part in vars(self).values()], device))


def flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror the images where `flipped` (B,) is 1."""
    return torch.where(_per_image(flipped) > 0, images.flip(3), images)


def jitter(images: Tensor, changes: Changes, *, blends: bool, turns_hue: bool) -> Tensor:
    """Brightness, contrast, saturation and hue in each image's own order.

    Args:
        images: (B, 3, H, W).
        changes: On the same device.
        blends: Whether any of the first three may happen.
        turns_hue: Whether the last may.
    """
    for turn in range(TURNS):
        if blends:
            grey = _grey(images)
            mean = grey.mean(dim=(1, 2, 3), keepdim=True) * _per_image(changes.mean_grey[turn])
            other = torch.addcmul(mean, grey, _per_image(changes.grey[turn]))
            images = torch.lerp(other, images, _per_image(changes.factors[turn])).clamp_(0, 1)
        if turns_hue:
            sixths = _per_image(changes.sixths[turn])
            images = torch.where(sixths == 0, images, hue(images, sixths))
    return images


def hue(images: Tensor, sixths: Tensor) -> Tensor:
    """Turn the colour circle of each image by `sixths` (B, 1, 1, 1) of it."""
    value, largest = images.max(dim=1, keepdim=True)
    chroma = value - images.amin(dim=1, keepdim=True)
    # Of red: green less blue, and so on round the circle; where two colours are the largest, either serves.
    slopes = images.roll(-1, dims=1) - images.roll(1, dims=1)
    here = slopes.gather(1, largest) / chroma.clamp(min=_SMALLEST)
    turned = torch.add(here, largest, alpha=2) + sixths
    sector = (turned + _constant(_SECTORS, images.device)).remainder_(6)
    weight = torch.minimum(sector, 4 - sector).clamp_(0, 1)
    return torch.addcmul(value, chroma, weight, value=-1).clamp_(0, 1)


def greyscale(images: Tensor, chosen: Tensor) -> Tensor:
    """Take the colour out where `chosen` (B,) is 1."""
    return torch.where(_per_image(chosen) > 0, _grey(images), images)


def solarize(images: Tensor, chosen: Tensor) -> Tensor:
    """Invert what is at least half bright where `chosen` (B,) is 1."""
    return torch.where((images >= 0.5) & (_per_image(chosen) > 0), 1 - images, images)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _grey(images: Tensor) -> Tensor:
    return (images * _constant(pixel_ops.LUMA, images.device)).sum(dim=1, keepdim=True)


@lru_cache(maxsize=16)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A number for each colour, (1, C, 1, 1), sent once."""
    return upload_together([torch.tensor(values)], device)[0].reshape(1, -1, 1, 1)
