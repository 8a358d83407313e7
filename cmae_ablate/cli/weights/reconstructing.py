"""`reconstruct`: look at what a checkpoint makes of images, and at where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch.nn import functional

from cmae_ablate.cli.targets import check_picture, written
from cmae_ablate.cli.weights.drawing import HeatRow, save_with_boxes
from cmae_ablate.cli.weights.source import open_checkpoint, open_data
from cmae_ablate.components.crops.boxes import box_ious, boxes_from_heatmaps
from cmae_ablate.components.crops.heatmaps import Heatmap, encoder_heatmap, heatmap_words
from cmae_ablate.components.crops.localisation import covered
from cmae_ablate.components.evaluations.features import split_of
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.protocols import Localiser
from cmae_ablate.data.arrays import SPLITS, DataArrays, Split
from cmae_ablate.data.images import WholeImages, take
from cmae_ablate.errors import UserError, suggest
from cmae_ablate.runtime import set_threads
from cmae_ablate.study.choice import Choice
from cmae_ablate.terminal import say
from cmae_ablate.training.collapse import collapse_warning
from cmae_ablate.training.pictures import reconstructions, save_reconstructions
from cmae_ablate.training.views import crop_to_ask

SETTABLE = (("dataset",), ("masking",), ("crop",))
MAX_COUNT = 64
THRESHOLD = 0.1
"""Of heat maps, where the trial's crop has none of its own."""
SHOWN: tuple[Heatmap, ...] = ("channel_sum", "class_attention")
"""Heat maps that are drawn of every checkpoint; the first is the published one."""
_CPU = torch.device("cpu")


def reconstruct_checkpoint(
    place: Path, settings: Sequence[str], count: int, split: str, boxes: bool, out: Path, console: Console
) -> None:
    """Draw the first images of a split: original, masked, reconstructed; with `boxes` also heat maps.

    Args:
        place: A checkpoint with a decoder.
        settings: `PATH=VALUE` texts: `dataset`, `masking`, `crop`.
        count: Number of images.
        split: `train`, `validation` or `test`.
        boxes: Whether to draw heat maps, their boxes and the known boxes below.
        out: PNG file to write.
        console: Told of the file, and of features that collapsed.

    Raises:
        UserError: An argument is wrong, or the checkpoint has no decoder.
    """
    is_replaced = _check_arguments(count, split, out)
    checkpoint = open_checkpoint(place, settings, SETTABLE)
    model = checkpoint.model
    if model is None:
        raise UserError(
            f"{place}: holds the encoder alone; reconstructing needs a checkpoint with its decoder"
        )
    data = open_data(checkpoint, console)
    images = split_of(data, split)
    if count > len(images):
        raise UserError(f"--count {count}: the {split} split has {len(images)} images; ask for fewer")
    set_threads(checkpoint.spec.training.threads)
    model.masking = checkpoint.spec["masking"].build(checkpoint.encoder.grid)
    pictures = reconstructions(model, data, images, np.arange(count), checkpoint.encoder.image_size, _CPU)
    if boxes:
        rows = heat_rows(checkpoint.encoder, data, images, count, checkpoint.spec["crop"])
        save_with_boxes(pictures, rows, images.boxes[:count], out)
    else:
        save_reconstructions(pictures, out)
    say(
        f"{written(out, is_replaced, 'drawn')} ({data.name}, {split}: {count} of {len(images):,} images)",
        console,
    )
    if np.array_equal(pictures[:, 1], pictures[:, 2]):
        target = checkpoint.spec["target"].name
        say(f"note: the target '{target}' has no picture; hidden patches stay grey", console)
    warning = collapse_warning(checkpoint.encoder, data, images, _CPU)
    if warning:
        say(f"warning: {warning}", console)


def heat_rows(encoder: Encoder, data: DataArrays, split: Split, count: int, crop: Choice) -> list[HeatRow]:
    """Heat maps of the first images of a split, with their boxes.

    Args:
        encoder: In eval mode, on the CPU.
        data: For its mean and deviation.
        split: The images.
        count: How many.
        crop: The trial's crop; where it draws boxes, its kind of map and its threshold are among those shown.

    Returns:
        Channel sum (published), class attention, and the trial's own where it is another.
    """
    whole = WholeImages(data, split, encoder.image_size, _CPU)
    images = whole.prepare(take(split, np.arange(count), _CPU))
    size = (encoder.image_size, encoder.image_size)
    known = torch.from_numpy(np.array(split.boxes[:count], dtype=np.float32))
    maps_by_name = {
        heatmap_words(kind, norm=False): encoder_heatmap(encoder, images, kind, norm=False) for kind in SHOWN
    }
    strategy = crop_to_ask(crop)
    own = strategy if isinstance(strategy, Localiser) else None
    if own and own.heatmap_name not in maps_by_name:
        with torch.no_grad():
            maps_by_name[own.heatmap_name] = own.heatmap(encoder, images)
    rows = []
    for name, maps in maps_by_name.items():
        boxes = covered(boxes_from_heatmaps(maps, size, own.threshold if own else THRESHOLD), size)
        title = f"{name}\n(the trial's)" if own and name == own.heatmap_name else name
        rows.append(HeatRow(title, _scaled(maps, size), boxes.numpy(), box_ious(known, boxes).numpy()))
    return rows


def _check_arguments(count: int, split: str, out: Path) -> bool:
    """Refuse what is wrong before any work; whether `out` replaces a picture."""
    if split not in SPLITS:
        raise UserError(f"--split {split}: there is no such split; {suggest(split, list(SPLITS))}")
    if not 1 <= count <= MAX_COUNT:
        raise UserError(f"--count {count}: a number from 1 to {MAX_COUNT} is expected")
    return check_picture(out)


def _scaled(maps: torch.Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    # A constant map is drawn cold all over.
    unit = (maps - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny)
    resized = functional.interpolate(unit.unsqueeze(1), size=size, mode="bilinear")[:, 0]
    result: NDArray[np.float32] = resized.numpy()
    return result
