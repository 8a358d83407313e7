"""Operations on the pixels of a batch, each image with an amount of its own.

B images, C = 3 colours, H W size. Images and results lie in [0, 1]. Each operation gives per image
what torchvision's of the same name gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in grey, ITU-R 601, with torchvision's digits."""


def change(images: Tensor, chosen: Tensor, operation: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Apply an operation to some images of a batch in place, at the cost of these alone.

    Args:
        images: (B, C, H, W), on any device.
        chosen: (B,), bool, on the CPU, so that choosing never waits for the device.
        operation: From images (b, C, H, W) and their places in the batch (b,), on the CPU, to images.
    """
    places = chosen.nonzero()[:, 0]
    if len(places):
        index = places.to(images.device, non_blocking=True)
        # Whole images lie together: `index_select` copies them so, five times as fast as `images[index]`.
        images.index_copy_(0, index, operation(images.index_select(0, index), places))


def amounts(values: Tensor, like: Tensor) -> Tensor:
    """Numbers per image (b,) on the device of `like`, in its type, to multiply images with: (b, 1, 1, 1)."""
    return values.to(like.device, like.dtype, non_blocking=True)[:, None, None, None]


def flip(images: Tensor) -> Tensor:
    """Mirror left and right."""
    return images.flip(3)


def greyscale(images: Tensor) -> Tensor:
    """Grey in all three colours."""
    return _grey(images).expand_as(images)


def solarize(images: Tensor) -> Tensor:
    """Invert what is at least half bright."""
    return torch.where(images >= 0.5, 1 - images, images)


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with black: images (b, C, H, W), factors (b,) >= 0; 1 changes nothing."""
    return (images * amounts(factors, images)).clamp(0, 1)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the image's mean grey: factors (b,) >= 0; 1 changes nothing."""
    return _blend(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the grey image: factors (b,) >= 0; 1 changes nothing."""
    return _blend(images, _grey(images), factors)


def hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Turn the colour circle: shifts (b,) in turns, in [-0.5, 0.5]; 0 changes nothing."""
    value, least = images.amax(dim=1), images.amin(dim=1)
    chroma = value - least
    # Where grey, any divisor serves: the chroma of zero cancels it below.
    divisor = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    red, green, blue = images.unbind(dim=1)
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    turned = sixths + 6 * amounts(shifts, images)[:, 0]
    # From hue, value and chroma back to each colour, by the distance from that colour's sector.
    channels = []
    for offset in (5.0, 3.0, 1.0):
        sector = (offset + turned).remainder(6)
        channels.append(value - chroma * torch.minimum(sector, 4 - sector).clamp(0, 1))
    return torch.stack(channels, dim=1).clamp(0, 1)


def blur(images: Tensor, sigmas: Tensor, largest: float) -> Tensor:
    """Gaussian blur, reflecting at the border.

    Args:
        images: (b, C, H, W).
        sigmas: Standard deviations in pixels, (b,), > 0.
        largest: The largest sigma there may be; kernels reach to three times it, or as far as
            reflection can, whatever this batch's sigmas are.
    """
    kernels = blur_kernels(sigmas, largest, *images.shape[2:])
    return convolve(images, kernels.to(images.device, images.dtype))


def convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each image with its own kernel (b, taps), rows and columns, reflecting at the border."""
    batch, channels, height, width = images.shape
    reach = kernels.shape[1] // 2
    # Copied as a shape, which never waits for the device.
    each = kernels.unsqueeze(1).expand(-1, channels, -1).reshape(batch * channels, 1, -1)
    # Every channel of every image is a group with a kernel of its own; rows first, then columns.
    flat = images.reshape(1, batch * channels, height, width)
    flat = functional.pad(flat, (reach, reach, reach, reach), mode="reflect")
    flat = functional.conv2d(flat, each.unsqueeze(3), groups=batch * channels)
    flat = functional.conv2d(flat, each.unsqueeze(2), groups=batch * channels)
    return flat.reshape(batch, channels, height, width).clamp_(0, 1)


def blur_kernels(sigmas: Tensor, largest: float, height: int, width: int) -> Tensor:
    """Gaussians of standard deviations (b,), as far as reflection on H x W can reach, (b, taps)."""
    reach = max(min(math.ceil(3 * largest), height - 1, width - 1), 0)
    distances = torch.arange(-reach, reach + 1, dtype=torch.float32)
    return torch.softmax(-0.5 * (distances / sigmas.float()[:, None]) ** 2, dim=1)


def _grey(images: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device)
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True)


def _blend(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    return (others + amounts(factors, images) * (images - others)).clamp(0, 1)
