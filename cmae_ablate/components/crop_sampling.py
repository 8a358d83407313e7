"""Random crops of a whole batch at once: sizes as RandomResizedCrop draws them, and where they go.

B batch, H W image height and width. Every strategy draws the same layout of numbers, whatever comes
of them, so that with the same generator two strategies cut crops of the same sizes. The arithmetic
is NumPy's: on a few numbers its operations cost a fraction of torch's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor

ATTEMPTS = 10
"""Sizes tried before the crop falls back to the centre, as in torchvision."""

FULL = (0.0, 0.0, 1.0, 1.0)
"""The box of a whole image: top, left, bottom, right."""

CENTER = (0.25, 0.25, 0.75, 0.75)
"""The box of half the image's height and width around its middle."""


SCALE = (0.2, 1.0)
"""MAE's range of areas."""
RATIO = (3 / 4, 4 / 3)
"""torchvision's range of aspect ratios."""
PUBLISHED = 100
"""Epochs of ContrastiveCrop's warm-up, and between its refreshes, on Tiny-ImageNet; of 500."""
SPAN = 0.2
"""The share of a training that they are."""


@dataclass(frozen=True)
class Draws:
    """Uniform numbers in [0, 1) for one crop per image, float64.

    Attributes:
        areas: (10, B), one row per attempt.
        aspects: (10, B).
        places: Where the crop lies in its range, vertically and horizontally, (2, B).
    """

    areas: NDArray[np.float64]
    aspects: NDArray[np.float64]
    places: NDArray[np.float64]


@dataclass(frozen=True)
class Sizes:
    """Sizes of crops in pixels.

    Attributes:
        sides: Height in [1, H] and width in [1, W], (2, B), int64.
        fitted: False where no attempt fitted, so that the crop lies in the centre; (B,), bool.
    """

    sides: NDArray[np.int64]
    fitted: NDArray[np.bool_]


def draw(batch: int, rng: torch.Generator) -> Draws:
    """Draw 22 numbers per image; `rng` is a CPU generator."""
    numbers = torch.rand(2 * ATTEMPTS + 2, batch, generator=rng, dtype=torch.float64).numpy()
    return Draws(numbers[:ATTEMPTS], numbers[ATTEMPTS : 2 * ATTEMPTS], numbers[2 * ATTEMPTS :])


def crop_sizes(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float], draws: Draws
) -> Sizes:
    """Sizes as torchvision's RandomResizedCrop: the first of ten attempts that fits into the image.

    Args:
        height: H.
        width: W.
        scale: Range of the area over that of the image, drawn uniformly.
        ratio: Range of width over height, drawn uniformly in the logarithm.
        draws: Uniform numbers.
    """
    area = height * width * (scale[0] + (scale[1] - scale[0]) * draws.areas)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    # torch's exponential: NumPy's differs in the last digit, and with it a crop in a million.
    aspect = torch.from_numpy(low + (high - low) * draws.aspects).exp_().numpy()
    # rint rounds halves to even, as Python does.
    sides = np.rint(np.sqrt(np.stack([area / aspect, area * aspect]))).astype(np.int64)
    fits = ((sides > 0) & (sides <= _extent(height, width)[:, None])).all(axis=0)
    first, fitted = fits.argmax(axis=0), fits.any(axis=0)
    whole = np.array(_central_size(height, width, ratio))[:, None]
    return Sizes(np.where(fitted, sides[:, first, np.arange(len(first))], whole), fitted)


def anywhere(height: int, width: int, sizes: Sizes, places: NDArray[np.float64]) -> Tensor:
    """Put crops anywhere in the image with equal probability, as RandomResizedCrop does.

    Args:
        height: H.
        width: W.
        sizes: Sizes of B crops.
        places: Uniform numbers in [0, 1), (2, B), float64.

    Returns:
        Top, left, height, width in pixels, (B, 4), int64.
    """
    room = _extent(height, width) - sizes.sides
    return _assemble(sizes, room, (places * (room + 1)).astype(np.int64))


def around_boxes(
    boxes: Tensor,
    height: int,
    width: int,
    sizes: Sizes,
    places: NDArray[np.float64],
    *,
    alpha: float,
) -> Tensor:
    """Put the centres of crops into boxes, as ContrastiveCrop does.

    The centre's range is the box, clipped so that the crop stays inside the image; the place in that
    range is Beta(alpha, alpha), got from the uniform numbers by the inverse distribution function, so
    that the count of numbers drawn does not depend on their values.

    Args:
        boxes: Top, left, bottom, right in [0, 1], (B, 4).
        height: H.
        width: W.
        sizes: Sizes of B crops.
        places: Uniform numbers in [0, 1), (2, B), float64.
        alpha: 1 is uniform, below 1 prefers the ends of the range, > 0.

    Returns:
        Top, left, height, width in pixels, (B, 4), int64.
    """
    beta = betaincinv(alpha, alpha, places)
    extent = _extent(height, width)
    room = extent - sizes.sides
    # The product is rounded in the boxes' own precision, as the published code does on float32 boxes.
    edges = boxes.numpy().T
    centres = (extent.astype(edges.dtype) * edges.reshape(2, 2, -1)).astype(np.int64)
    low, high = np.minimum(np.maximum(centres - sizes.sides // 2, 0), room)
    return _assemble(sizes, room, low + ((high - low) * beta).astype(np.int64))


def sample_crops(
    boxes: Tensor,
    height: int,
    width: int,
    *,
    rng: torch.Generator,
    alpha: float = 0.6,
    scale: tuple[float, float] = SCALE,
    ratio: tuple[float, float] = RATIO,
) -> Tensor:
    """Draw one crop per box by the published arithmetic of ContrastiveCrop (arXiv 2202.03278).

    Args:
        boxes: Top, left, bottom, right in [0, 1], (B, 4), on the CPU. B may be 0.
        height: H, in pixels.
        width: W, in pixels.
        rng: CPU generator; 22 numbers per box are drawn from it.
        alpha: Parameter of the Beta distribution, finite, > 0.
        scale: Range of the crop's area over that of the image, low <= high in (0, 1].
        ratio: Range of the crop's width over its height, low <= high above 0.

    Returns:
        Top, left, height, width in pixels, (B, 4), int64.

    Raises:
        ValueError: `boxes` are not (B, 4), or one is NaN; `height` or `width` is below 1; `alpha`, `scale` or
            `ratio` is out of its range. The message names the argument and its range.
    """
    _check(
        boxes, {"height": height, "width": width}, alpha, {"scale": (scale, 1.0), "ratio": (ratio, math.inf)}
    )
    draws = draw(len(boxes), rng)
    sizes = crop_sizes(height, width, scale, ratio, draws)
    return around_boxes(boxes, height, width, sizes, draws.places, alpha=alpha)


def sample_from_the_end_of_warmup(
    boxes: Tensor,
    height: int,
    width: int,
    *,
    rng: torch.Generator,
    alpha: float,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Tensor:
    """Draw one crop per box as `sample_crops` does; while any box is unknown, anywhere, number for number.

    Args:
        boxes: As `sample_crops`; NaN before the warm-up's end.
        height: H, in pixels.
        width: W, in pixels.
        rng: CPU generator; 22 numbers per box are drawn from it.
        alpha: As `sample_crops`.
        scale: As `sample_crops`.
        ratio: As `sample_crops`.

    Returns:
        Top, left, height, width in pixels, (B, 4), int64.
    """
    draws = draw(len(boxes), rng)
    sizes = crop_sizes(height, width, scale, ratio, draws)
    if bool(boxes.isnan().any()):
        return anywhere(height, width, sizes, draws.places)
    return around_boxes(boxes, height, width, sizes, draws.places, alpha=alpha)


def _check(
    boxes: Tensor,
    sides: Mapping[str, int],
    alpha: float,
    ranges: Mapping[str, tuple[tuple[float, float], float]],
) -> None:
    """Refuse what the arithmetic would turn into anything; `ranges` by name, each with its highest end."""
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: the shape is {tuple(boxes.shape)}; (B, 4) is expected")
    if bool(boxes.isnan().any()):
        raise ValueError("boxes: one is NaN; numbers in [0, 1] are expected")
    for name, side in sides.items():
        if side < 1:
            raise ValueError(f"{name}: {side}; a number of pixels from 1 is expected")
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha: {alpha}; a finite number above 0 is expected")
    for name, ((low, high), limit) in ranges.items():
        if not (0 < low <= high <= limit and high < math.inf):
            within = f"(0, {limit:g}]" if limit < math.inf else "(0, inf)"
            raise ValueError(f"{name}: ({low}, {high}); low <= high, both in {within}, is expected")


def _extent(height: int, width: int) -> NDArray[np.int64]:
    return np.array([[height], [width]])


def _assemble(sizes: Sizes, room: NDArray[np.int64], start: NDArray[np.int64]) -> Tensor:
    """Top, left, height, width, (B, 4), of crops that start at (2, B) and could be `room` further, (2, B)."""
    found = np.concatenate([np.where(sizes.fitted, start, room // 2), sizes.sides])
    return torch.from_numpy(found).T


def _central_size(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    aspect = width / height
    if aspect < ratio[0]:
        return round(width / ratio[0]), width
    if aspect > ratio[1]:
        return height, round(height * ratio[1])
    return height, width
