"""Pictures of what a model does with an image: original, masked, reconstructed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from cmae_ablate.arrays import DataArrays, Split
from cmae_ablate.data import WholeImages, take
from cmae_ablate.model import MaskedImageModel
from cmae_ablate.runtime import stream
from cmae_ablate.tokens import patchify, unpatchify

GREY = 0.5


def reconstructions(
    model: MaskedImageModel, data: DataArrays, split: Split, count: int, image_size: int, device: torch.device
) -> NDArray[np.float32]:
    """Show a model's work on the first images of a split, under masks that every model gets alike.

    Returns:
        (count, 3, H, W, 3) in [0, 1]: original, masked, reconstructed. Visible patches of a
        reconstruction are the original's; normalised predictions are undone with the true mean and
        deviation of each patch. Where the target is no picture, the third is grey on hidden patches.
    """
    whole = WholeImages(data, split, image_size, device)
    images = whole.prepare(take(split, np.arange(count), device))
    mask = model.masking.sample(count, stream(0, "pictures")).to(device)
    with torch.no_grad():
        (view,) = model.encode_views([images], [mask])
        predicted = model.target.to_pixels(model.decoder(view), images, mask)
    patch = model.encoder.patch_size
    original = patchify(_unnormalised(images, data), patch)
    hidden = mask.hidden.unsqueeze(-1)
    masked = torch.where(hidden, torch.full_like(original, GREY), original)
    drawn = masked
    if predicted is not None:
        values = _unnormalised(unpatched(predicted, mask.ids_hidden, images, patch, model.encoder.grid), data)
        drawn = torch.where(hidden, patchify(values, patch), original)
    rows = [unpatchify(part, patch, model.encoder.grid) for part in (original, masked, drawn)]
    result: NDArray[np.float32] = torch.stack(rows, 1).permute(0, 1, 3, 4, 2).clamp(0, 1).cpu().numpy()
    return result


def unpatched(patches: Tensor, ids: Tensor, images: Tensor, patch: int, grid: tuple[int, int]) -> Tensor:
    """Patches (B, M, Q) put at positions `ids` (B, M) of an otherwise empty image, (B, C, H, W)."""
    canvas = torch.zeros_like(patchify(images, patch))
    index = ids.unsqueeze(-1).expand_as(patches)
    return unpatchify(canvas.scatter(1, index, patches.to(canvas.dtype)), patch, grid)


def save_reconstructions(pictures: NDArray[np.float32], path: Path) -> None:
    """Draw original, masked and reconstructed images, one row a kind, as PNG."""
    count = len(pictures)
    figure = Figure(figsize=(1.0 * count + 1.0, 3.2), dpi=150, layout="constrained")
    axes = figure.subplots(3, count, squeeze=False)
    for row, name in enumerate(("original", "masked", "reconstructed")):
        for column in range(count):
            axis = axes[row][column]
            axis.imshow(pictures[column, row], interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        axes[row][0].set_ylabel(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _unnormalised(images: Tensor, data: DataArrays) -> Tensor:
    mean = torch.tensor(data.mean, device=images.device).reshape(1, 3, 1, 1)
    std = torch.tensor(data.std, device=images.device).reshape(1, 3, 1, 1)
    return images * std + mean
