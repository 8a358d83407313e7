"""Pictures of what a trial does with an image: masked and reconstructed, and where its crops fall."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.data.images import WholeImages, take
from cmae_ablate.files import write_atomically
from cmae_ablate.runtime import stream
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.tokens import patchify, unpatchify
from cmae_ablate.training.model import MaskedImageModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle  # with the first picture: a cell's claim does not wait for it

GREY = 0.5
CROP_IMAGES, CROPS_AN_IMAGE = 8, 6
THIN, THICK = "#56B4E9", "#E69F00"


def spread(images: int, most: int) -> NDArray[np.int64]:
    """At most so many of the images, from the first to the last: those of one class lie side by side."""
    return np.linspace(0, images - 1, min(most, images)).astype(np.int64)


def reconstructions(
    model: MaskedImageModel,
    data: DataArrays,
    split: Split,
    indices: NDArray[np.int64],
    image_size: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """Show a model's work on some images of a split, under masks that every model gets alike.

    Returns:
        (len(indices), 3, H, W, 3) in [0, 1]: original, masked, reconstructed. Visible patches of a
        reconstruction are the original's; normalised predictions are undone with the true mean and
        deviation of each patch. Where the target is no picture, the third is grey on hidden patches.
    """
    whole = WholeImages(data, split, image_size, device)
    images = whole.prepare(take(split, indices, device))
    mask = model.masking.sample(len(indices), stream(0, "pictures")).to(device)
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
    from matplotlib.figure import Figure

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
    save_png(figure, path)


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure whole, or leave what is there.

    Raises:
        OSError: There is no room, or no way to write; the error names `path`.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    write_atomically(path, drawn.getvalue(), mode=0o666)


def _unnormalised(images: Tensor, data: DataArrays) -> Tensor:
    mean = torch.tensor(data.mean, device=images.device).reshape(1, 3, 1, 1)
    std = torch.tensor(data.std, device=images.device).reshape(1, 3, 1, 1)
    return images * std + mean


def save_crops(spec: TrialSpec, data: DataArrays, learnt: Path, path: Path) -> None:
    """Draw where a trial's crops fall on a few training images, one column an image, as PNG.

    Thin lines are crops, drawn as training draws them; the thick box is the one they are drawn around, where
    the crop has boxes; the dashed one is the data set's, where it has any. Draws nothing where what the crop
    learnt is missing.

    Args:
        spec: The trial.
        data: Its data.
        learnt: What its crop had learnt when the pretraining ended, as safetensors; need not exist.
        path: Where to draw.
    """
    from matplotlib.figure import Figure

    count = len(data.train.labels)
    crop = spec["crop"].build(count, torch.from_numpy(data.train.boxes.copy()))
    if crop.state_dict():
        if not learnt.is_file():
            return
        crop.load_state_dict(load_file(learnt))
    boxes = crop.state_dict().get("boxes", torch.full((count, 4), float("nan")))
    indices = torch.from_numpy(spread(count, CROP_IMAGES))
    images = take(data.train, indices.numpy(), torch.device("cpu")).permute(0, 2, 3, 1).numpy()
    height, width = images.shape[1:3]
    drawn = [crop.sample(indices, height, width, stream(0, "picture", i)) for i in range(CROPS_AN_IMAGE)]
    figure = Figure(figsize=(1.0 * len(indices), 1.0), dpi=150, layout="constrained")
    for axis, image, index, *crops in zip(
        figure.subplots(1, len(indices), squeeze=False)[0], images, indices.tolist(), *drawn, strict=True
    ):
        axis.imshow(image, interpolation="nearest")
        for top, left, tall, wide in (each.tolist() for each in crops):
            axis.add_patch(_outline((top, left, top + tall, left + wide), color=THIN, linewidth=0.7))
        size = torch.tensor([height, width, height, width])
        axis.add_patch(_outline((boxes[index] * size).tolist(), color=THICK, linewidth=2.2))
        known = (torch.from_numpy(data.train.boxes[index]) * size).tolist()
        axis.add_patch(_dashed(known))
        axis.set_axis_off()
        axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(figure, path)


def _dashed(edges: Sequence[float]) -> Rectangle:
    """A box that is seen on light and on dark images, as `_outline`."""
    from matplotlib.patheffects import withStroke

    on_any = [withStroke(linewidth=2.2, foreground="#303030")]
    return _outline(edges, color="white", linewidth=1.3, linestyle=(0, (3, 2)), path_effects=on_any)


def _outline(edges: Sequence[float], **style: Any) -> Rectangle:
    """A box (top, left, bottom, right) in pixels; one with unknown edges is invisible."""
    from matplotlib.patches import Rectangle

    top, left, bottom, right = edges
    place = (left - 0.5, top - 0.5)
    return Rectangle(
        place, right - left, bottom - top, fill=False, visible=not math.isnan(sum(edges)), **style
    )
