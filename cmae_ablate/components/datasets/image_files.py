"""Image files, decoded into the rows of a split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cmae_ablate.components.datasets.file_tree import FileTree
from cmae_ablate.components.datasets.image_decode import (
    DECODE_ERRORS,
    FORMATS,
    Decoded,
    decode,
    without_warnings,
)
from cmae_ablate.data.arrays import ArrayWriter, Split
from cmae_ablate.errors import UserError, readable

Box = tuple[float, float, float, float]

MAX_IMAGE_BYTES = 512 * 2**20
"""Of one file; the most pixels that are decoded have 300 MB without compression."""
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


def fit(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to `size`, antialiased, and cut out the centre."""
    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Channels first, (3, H, W)."""
    return np.asarray(image).transpose(2, 0, 1)


@dataclass(frozen=True)
class Reading:
    """What came of reading files.

    Attributes:
        damaged: Those that could not be used.
        transparent: Paths of those that let the background through.
        vanished: Paths of those of which nothing but the background is left.
        longer: Paths of those that hold further pictures, which are not used.
    """

    damaged: list[Damage] = field(default_factory=list)
    transparent: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    longer: list[str] = field(default_factory=list)

    def add(self, path: str, found: Damage | Decoded) -> None:
        """Count one file."""
        if isinstance(found, Damage):
            self.damaged.append(found)
            return
        if found.transparent:
            self.transparent.append(path)
        if found.vanished:
            self.vanished.append(path)
        if found.has_more:
            self.longer.append(path)

    def tell(self, writer: ArrayWriter, source: Path, remedy: str) -> None:
        """Say what became of transparent pixels and of animations.

        Raises:
            UserError: Files are damaged; the message lists the first ones.
        """
        if self.damaged:
            listed = "; ".join(f"{readable(found.path)}: {found.reason}" for found in self.damaged[:_LISTED])
            more = f"; ... and {len(self.damaged) - _LISTED} more" if len(self.damaged) > _LISTED else ""
            raise UserError(
                f"dataset.source: {source}: {len(self.damaged)} damaged image(s); {remedy}: {listed}{more}"
            )
        if self.transparent:
            writer.notice(
                f"{len(self.transparent):,} image(s) are transparent in places and are shown on white, "
                f"such as {readable(self.transparent[0])}"
            )
        if self.vanished:
            writer.notice(
                f"{len(self.vanished):,} of these are white everywhere, such as "
                f"{readable(self.vanished[0])}: they were drawn in white; lay them on a darker background"
            )
        if self.longer:
            writer.notice(
                f"{len(self.longer):,} file(s) hold several pictures, as animations do, and the first alone "
                f"is taken, such as {readable(self.longer[0])}; save each that counts as a file of its own"
            )


def write_splits(
    tree: FileTree,
    splits: Mapping[str, Sequence[LabelledFile]],
    writer: ArrayWriter,
    shape: Callable[[Image.Image], Image.Image],
    progress: Callable[[int, int], None],
    limit: int = MAX_IMAGE_BYTES,
) -> Reading:
    """Decode files into the rows of their splits, in order; the row of a damaged file holds nothing.

    Args:
        tree: Where the files are.
        splits: One file for each row.
        writer: Takes images, labels, boxes and the files' names.
        shape: Brings an image to the splits' size; raises ValueError where that makes no sense.
        progress: Told how many files are done, and of how many.
        limit: The most bytes that one file may have.
    """
    reading = Reading()
    total, done = sum(len(files) for files in splits.values()), 0
    for name, files in splits.items():
        split = writer.allocate(name, len(files), names=[readable(file.path) for file in files])
        for count in _write_files(tree, files, split, shape, reading, limit):
            progress(done + count, total)
        done += len(files)
    return reading


def _write_files(
    tree: FileTree,
    files: Sequence[LabelledFile],
    split: Split,
    shape: Callable[[Image.Image], Image.Image],
    reading: Reading,
    limit: int,
) -> Iterator[int]:
    """Decode on several threads, and say from time to time how many files are done."""

    def load(row: int) -> Damage | Decoded:
        found = load_image(tree, files[row].path, shape, limit)
        if isinstance(found, Decoded):
            split.images[row] = to_array(found.image)
        return found

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads, without_warnings():
        for start in range(0, len(files), _BATCH):
            rows = range(start, min(start + _BATCH, len(files)))
            for row, found in zip(rows, threads.map(load, rows), strict=True):
                reading.add(files[row].path, found)
            yield rows.stop
    for row, file in enumerate(files):
        split.labels[row] = file.label
        if file.box is not None:
            split.boxes[row] = file.box


def load_image(
    tree: FileTree, path: str, shape: Callable[[Image.Image], Image.Image], limit: int = MAX_IMAGE_BYTES
) -> Decoded | Damage:
    """Read, decode and shape one file, or say why that fails. Call it inside `without_warnings`."""
    try:
        found = decode(tree.read(path, limit))
        return replace(found, image=shape(found.image))
    except UnidentifiedImageError:
        # Pillow's own message names a buffer in memory.
        return Damage(path, f"no image, or of an unknown format (read are {', '.join(FORMATS)})")
    except DECODE_ERRORS as error:
        return Damage(path, " ".join(str(error).split()) or type(error).__name__)
