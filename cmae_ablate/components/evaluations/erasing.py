"""Random erasing of a whole batch at once, for devices."""

from __future__ import annotations

import torch
from torch import Tensor

from cmae_ablate.components.crop_sampling import anywhere, crop_sizes, draw
from cmae_ablate.data.uploads import upload

AREA = (0.02, 1 / 3)
ASPECT = (0.3, 1 / 0.3)


def erase(images: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """Put noise into a rectangle of some images.

    Source: timm's `RandomErasing` in mode `pixel`, with its ranges of area and aspect. Different here: a
    rectangle may be as high or as wide as the image, and where none of ten fits, none is erased, too.

    Args:
        images: Normalised, (B, C, H, W), on any device; left alone.
        probability: Of each image.
        rng: CPU generator of the rectangles; noise is drawn from the device's global one.

    Returns:
        As `images`.
    """
    height, width = images.shape[2:]
    draws = draw(len(images), rng)
    sizes = crop_sizes(height, width, AREA, ASPECT, draws)
    erased = (torch.rand(len(images), generator=rng) < probability) & torch.from_numpy(sizes.fitted)
    boxes = anywhere(height, width, sizes, draws.places) * erased.unsqueeze(1)
    top, left, tall, wide = upload(boxes, images.device).unsqueeze(2).unbind(dim=1)
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    inside_rows, inside_columns = (
        (rows >= top) & (rows < top + tall),
        (columns >= left) & (columns < left + wide),
    )
    inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return torch.where(inside, torch.randn_like(images), images)
