"""Raw pixels as target, by absolute error."""

from __future__ import annotations

from torch import Tensor

from cmae_ablate.components.hidden_pixels import COLOURS, as_pixels, hidden_pixels
from cmae_ablate.components.protocols import TARGETS
from cmae_ablate.tokens import PatchMask


@TARGETS.register("pixels_l1", version=1)
class PixelL1Target:
    """Pixels of the hidden patches, compared by their mean absolute error, SimMIM's target and loss.

    Source: Xie et al., SimMIM, arXiv 2111.09886: L1 over the values of all hidden patches, of images that are
    normalised by the data set's channel statistics and not patch by patch. Different here: nothing.

    Args:
        patch_size: P, in pixels.
        normalize: Whether each patch is normalised by its own mean and variance, as `pixels` does. Source:
            SimMIM, false; MAE, true.
    """

    def __init__(self, patch_size: int, *, normalize: bool = False) -> None:
        self._patch_size = patch_size
        self._normalize = normalize

    def dim(self) -> int:
        """P * P * 3."""
        return self._patch_size**2 * COLOURS

    def __call__(self, images: Tensor, mask: PatchMask) -> Tensor:
        """Targets of hidden patches in MAE's pixel order (row, column, channel), (B, M, Q)."""
        return hidden_pixels(images, mask, self._patch_size, normalize=self._normalize)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Mean absolute error over all values of all hidden patches, a scalar."""
        return (predictions - targets).abs().mean()

    def to_pixels(self, predictions: Tensor, images: Tensor, mask: PatchMask) -> Tensor:
        """Predictions as pixels; normalised ones are undone with the true patch's mean and deviation."""
        return as_pixels(predictions, images, mask, self._patch_size, normalize=self._normalize)
