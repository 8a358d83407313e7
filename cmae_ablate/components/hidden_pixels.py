"""The pixels of hidden patches, as they are or normalised patch by patch: what two targets are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from cmae_ablate.tokens import PatchMask, gather_tokens, patchify

COLOURS = 3
EPSILON = 1e-6


def hidden_pixels(images: Tensor, mask: PatchMask, patch_size: int, *, normalize: bool) -> Tensor:
    """Hidden patches in MAE's pixel order (row, column, channel), (B, M, Q).

    Args:
        images: (B, C, H, W).
        mask: Which patches are hidden.
        patch_size: P, in pixels.
        normalize: Whether each patch is normalised by its own mean and unbiased variance, plus 1e-6.
    """
    patches = gather_tokens(patchify(images, patch_size), mask.ids_hidden)
    if not normalize:
        return patches
    mean, std = _moments(patches)
    return (patches - mean) / std


def as_pixels(
    predictions: Tensor, images: Tensor, mask: PatchMask, patch_size: int, *, normalize: bool
) -> Tensor:
    """The inverse of `hidden_pixels` for predictions, with the true patch's mean and deviation, (B, M, Q)."""
    if not normalize:
        return predictions
    mean, std = _moments(hidden_pixels(images, mask, patch_size, normalize=False))
    return predictions * std + mean


def _moments(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each patch, (B, M, 1) both."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True, correction=1)
    return mean, (variance + EPSILON).sqrt()
