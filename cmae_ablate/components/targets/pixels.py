"""Pixels as target."""

from __future__ import annotations

import torch
from torch import Tensor

from cmae_ablate.components.protocols import TARGETS
from cmae_ablate.tokens import PatchMask, gather_tokens, patchify

COLOURS = 3
EPSILON = 1e-6


@TARGETS.register("pixels", version=1)
class PixelTarget:
    """Pixels of the hidden patches, each patch normalised by its own mean and variance.

    Source: He et al., arXiv 2111.06377, section 3 ("reconstruction target"): the variance is taken over
    all values of a patch, unbiased, plus 1e-6. The default is the better of MAE's two targets
    (`norm_pix_loss` in its code, which every released recipe sets). Different here: nothing.

    Args:
        patch_size: P, in pixels.
        normalize: Whether each patch is normalised; otherwise the images' values are the target. Source: MAE,
            true in every released recipe.
    """

    def __init__(self, patch_size: int, *, normalize: bool = True) -> None:
        self._patch_size = patch_size
        self.normalize = normalize

    def dim(self) -> int:
        """P * P * 3."""
        return self._patch_size**2 * COLOURS

    def __call__(self, images: Tensor, mask: PatchMask) -> Tensor:
        """Targets of hidden patches in MAE's pixel order (row, column, channel), (B, M, Q)."""
        patches = self._hidden_patches(images, mask)
        if not self.normalize:
            return patches
        mean, std = _moments(patches)
        return (patches - mean) / std

    def to_pixels(self, predictions: Tensor, images: Tensor, mask: PatchMask) -> Tensor:
        """Undo the normalisation with the *true* patch's mean and deviation, as MAE's pictures do."""
        if not self.normalize:
            return predictions
        mean, std = _moments(self._hidden_patches(images, mask))
        return predictions * std + mean

    def _hidden_patches(self, images: Tensor, mask: PatchMask) -> Tensor:
        return gather_tokens(patchify(images, self._patch_size), mask.ids_hidden)


def _moments(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each patch, (B, M, 1) both."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True, correction=1)
    return mean, (variance + EPSILON).sqrt()
