"""Image files, decoded into the rows of a split."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cmae_ablate.arrays import Progress, Split
from cmae_ablate.components.datasets.file_tree import READ_ERRORS, FileTree
from cmae_ablate.errors import UserError

Box = tuple[float, float, float, float]

_DECODE_ERRORS = (
    *READ_ERRORS,
    SyntaxError,
    ValueError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)
_MAX_PIXELS = 100_000_000
_BATCH = 256
_LISTED = 5


@dataclass(frozen=True)
class LabelledFile:
    """An image file with its class and, where known, its object's box in [0, 1]: top, left, bottom, right."""

    path: str
    label: int
    box: Box | None = None


@dataclass(frozen=True)
class Damage:
    """A file that is no usable image, and why."""

    path: str
    reason: str


def decode(contents: bytes) -> Image.Image:
    """An upright 8-bit RGB image; greyscale becomes three equal channels.

    Raises:
        ValueError: The image is enormous, or its pixels have more than 8 bits.
        OSError: It is damaged (Pillow raises others of `_DECODE_ERRORS` too).
    """
    with Image.open(io.BytesIO(contents)) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are more than {_MAX_PIXELS}")
        if image.mode.startswith(("I", "F")):
            # Pillow clips such pixels to 255 rather than scaling them: most of the image would be white.
            raise ValueError(f"pixels of mode {image.mode} have more than 8 bits; save it with 8 bits")
        return ImageOps.exif_transpose(image).convert("RGB")


def fit(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to `size`, antialiased, and cut out the centre."""
    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Channels first, (3, H, W)."""
    return np.asarray(image).transpose(2, 0, 1)


def write_files(
    tree: FileTree,
    files: Sequence[LabelledFile],
    split: Split,
    shape: Callable[[Image.Image], Image.Image],
    progress: Callable[[int], None],
) -> list[Damage]:
    """Decode files into the rows of `split`, in order, on several threads.

    Args:
        tree: Where the files are.
        files: One for each row.
        split: Takes images, labels and boxes.
        shape: Brings an image to the split's size; raises ValueError where that makes no sense.
        progress: Told how many files are done.

    Returns:
        The files that could not be used; their rows hold nothing.
    """

    def load(row: int) -> Damage | None:
        image = load_image(tree, files[row].path, shape)
        if isinstance(image, Damage):
            return image
        split.images[row] = to_array(image)
        return None

    damaged: list[Damage] = []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        for start in range(0, len(files), _BATCH):
            stop = min(start + _BATCH, len(files))
            damaged += [damage for damage in threads.map(load, range(start, stop)) if damage]
            progress(stop)
    for row, file in enumerate(files):
        split.labels[row] = file.label
        if file.box is not None:
            split.boxes[row] = file.box
    return damaged


def load_image(
    tree: FileTree, path: str, shape: Callable[[Image.Image], Image.Image]
) -> Image.Image | Damage:
    """Read, decode and shape one file, or say why that fails."""
    try:
        return shape(decode(tree.read(path)))
    except UnidentifiedImageError:
        return Damage(path, "no image, or of an unknown format")  # Pillow names a buffer in memory instead
    except _DECODE_ERRORS as error:
        return Damage(path, str(error) or type(error).__name__)


def refuse_damaged(damaged: Sequence[Damage], source: Path, remedy: str) -> None:
    """Do nothing where no file is damaged.

    Raises:
        UserError: Some are; the message lists the first ones.
    """
    if damaged:
        listed = "".join(f"\n  {damage.path}: {damage.reason}" for damage in damaged[:_LISTED])
        more = f"\n  ... and {len(damaged) - _LISTED} more" if len(damaged) > _LISTED else ""
        raise UserError(f"dataset.source: {source}: {len(damaged)} damaged image(s); {remedy}:{listed}{more}")


def counter(progress: Progress, label: str, done_before: int, total: int) -> Callable[[int], None]:
    """Report the files of one split as part of all."""
    return lambda done: progress(label, done_before + done, total)
