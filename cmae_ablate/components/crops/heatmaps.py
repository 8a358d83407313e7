"""Where an image is interesting: maps from an encoder, and one without any.

B images, N patches, h x w the grid of patches.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from cmae_ablate.components.networks import Encoder

Heatmap = Literal["channel_sum", "feature_norm", "class_attention", "first_component"]

BORDER_CELLS = 16
"""Cells per side into which `border_distance` averages an image."""


@torch.no_grad()
def encoder_heatmap(encoder: Encoder, images: Tensor, kind: Heatmap, *, norm: bool) -> Tensor:
    """Raw heat maps of whole images.

    Args:
        encoder: Sees every patch.
        images: Normalised, (B, C, S, S) with S the encoder's image size.
        kind: `channel_sum` (as published, there on a ResNet), `feature_norm`, `class_attention` of the
            last block, or `first_component` of the patch tokens of each image.
        norm: Whether tokens are taken after the final LayerNorm. Summing channels, or taking the norm,
            after it is degenerate by construction: there every token has the same mean and variance.

    Returns:
        (B, h, w), float32.
    """
    if kind == "class_attention":
        flat = encoder.class_attention(images).float()
    else:
        tokens = encoder.encode(images, None, norm=norm)[:, 1:].float()
        if kind == "channel_sum":
            flat = tokens.sum(dim=2)
        elif kind == "feature_norm":
            flat = torch.linalg.vector_norm(tokens, dim=2)
        else:
            flat = first_component(tokens, encoder.grid)
    return flat.reshape(-1, *encoder.grid)


def heatmap_words(kind: Heatmap, *, norm: bool) -> str:
    """What a map is, in words: `feature norm after norm`. Attention is taken before any final norm."""
    return kind.replace("_", " ") + (" after norm" if norm and kind != "class_attention" else "")


def first_component(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Projection of each image's tokens on their first principal component.

    Its sign is arbitrary; it is chosen so that the patches along the image's border are the colder ones.

    Args:
        tokens: (B, N, D).
        grid: h and w.

    Returns:
        (B, N), float32.
    """
    # The solver knows no bf16, which autocast would make of the product.
    with torch.autocast(tokens.device.type, enabled=False):
        centred = tokens.float() - tokens.float().mean(dim=1, keepdim=True)
        # The N x N products have the components of the D x D covariance, and N is mostly the smaller.
        values, vectors = torch.linalg.eigh(centred @ centred.transpose(1, 2))
        scores = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
    at_border = border(grid).flatten().to(scores.device)
    # Scores sum to zero, so a border mean above zero is above the mean of all.
    return torch.where(scores[:, at_border].mean(dim=1, keepdim=True) > 0, -scores, scores)


def border_distance(images: Tensor) -> Tensor:
    """How far each region's colour is from the mean colour of the image's border: no network.

    A baseline that any localiser must beat: it knows only that photographs centre their objects.

    Args:
        images: (B, C, H, W).

    Returns:
        (B, h, w) with at most 16 cells a side, float32.
    """
    height, width = images.shape[-2:]
    cells = (min(BORDER_CELLS, height), min(BORDER_CELLS, width))
    regions = functional.adaptive_avg_pool2d(images.float(), cells)
    around = regions[:, :, border(cells).to(images.device)].mean(dim=2)
    distances: Tensor = torch.linalg.vector_norm(regions - around[:, :, None, None], dim=1)
    return distances


def border(grid: tuple[int, int]) -> Tensor:
    """True in the outermost cells of a grid, (h, w), bool."""
    outermost = torch.ones(grid, dtype=torch.bool)
    outermost[1:-1, 1:-1] = False
    return outermost
