"""Pixels as target."""

from __future__ import annotations

from torch import Tensor

from cmae_ablate.components.hidden_pixels import COLOURS, as_pixels, hidden_pixels
from cmae_ablate.components.protocols import TARGETS
from cmae_ablate.tokens import PatchMask


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
        return hidden_pixels(images, mask, self._patch_size, normalize=self.normalize)

    def to_pixels(self, predictions: Tensor, images: Tensor, mask: PatchMask) -> Tensor:
        """Undo the normalisation with the *true* patch's mean and deviation, as MAE's pictures do."""
        return as_pixels(predictions, images, mask, self._patch_size, normalize=self.normalize)
