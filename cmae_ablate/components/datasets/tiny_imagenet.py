"""Tiny-ImageNet, the data of the paper's headline number."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from cmae_ablate.components.datasets.file_tree import FileTree, FolderTree, open_tree
from cmae_ablate.components.datasets.holdout import hold_out
from cmae_ablate.components.datasets.image_files import write_splits
from cmae_ablate.components.datasets.small_arrays import official_size
from cmae_ablate.components.datasets.source_identity import files_identity
from cmae_ablate.components.datasets.sources import obtain, source_key
from cmae_ablate.components.datasets.tiny_imagenet_layout import IMAGE_SIZE, ORIGIN, read_layout
from cmae_ablate.components.protocols import DATASETS
from cmae_ablate.data.arrays import ArrayWriter, ExpectedSize, Progress
from cmae_ablate.errors import UserError

MAX_IMAGE_BYTES = 2**20
"""Of one image: the official ones have a few thousand."""


@DATASETS.register("tiny_imagenet", version=1)
class TinyImageNet:
    """Tiny-ImageNet: 200 classes of ImageNet at 64 pixels, 100,000 training images, boxes known.

    Source: Stanford CS231n, under ImageNet's terms: research use, no redistribution. Read from the official
    zip or the folder it extracts to; a cut-down copy in the same layout is taken as it is, classes and
    all. Different here: the official validation part (10,000 images) is `test`, since the official test
    images carry no labels; `validation` is carved out of train by a fixed rule.

    It flatters little, but objects fill about half of each image: a localiser cannot show its worth here.

    Args:
        source: `tiny-imagenet-200.zip`, or the folder it extracts to. Source: ours.
        download: Fetch the zip (237 MB) where no source is given. Source: ours; nothing is fetched unasked.
        validation_fraction: Part of each class's training images that is held out for choices. Source: ours;
            the official validation images serve as test, as their test labels are not public.
        limit_classes: Take only the first so many classes, in the order of their WordNet ids. Source: ours;
            the paper uses all 200.
    """

    def __init__(
        self,
        *,
        source: str | None = None,
        download: bool = False,
        validation_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1,
        limit_classes: Annotated[int, Field(ge=2)] | None = None,
    ) -> None:
        self._source = source
        self._download = download
        self._fraction = validation_fraction
        self._limit = limit_classes

    def expected_size(self) -> ExpectedSize | None:
        """The official sizes, where no source is named that could differ from them."""
        if self._source is not None:
            return None
        classes = min(self._limit or 200, 200)
        return official_size(500 * classes, 50 * classes, classes, 64, self._fraction)

    def cache_key(self) -> str:
        """The source's identity and the options."""
        classes = f"-{self._limit}classes" if self._limit else ""
        found = source_key(ORIGIN, self._source, self._download, self._folder_identity)
        return f"validation{self._fraction:g}{classes}-{found}"

    def _folder_identity(self, folder: Path) -> str:
        tree = FolderTree(folder)
        layout = read_layout(tree, folder, self._limit)
        return files_identity(tree, layout.read, str(folder), *layout.notices)

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        """Decode every image of the classes that are there."""
        source = obtain(ORIGIN, self._source, self._download, progress)
        with open_tree(source) as tree:
            self._write(tree, source, writer, progress)

    def _write(self, tree: FileTree, source: Path, writer: ArrayWriter, progress: Progress) -> None:
        layout = read_layout(tree, source, self._limit)
        writer.account(layout.account)
        for message in layout.notices:
            writer.notice(message)
        writer.describe("tiny_imagenet", layout.class_names, IMAGE_SIZE)
        labels = np.array([file.label for file in layout.train], np.int64)
        try:
            parts = hold_out(labels, [self._fraction])
        except ValueError as error:
            name = layout.class_names[error.args[0]]
            raise UserError(
                f"dataset.source: {source}: class {name} has only one training image; "
                "a validation part cannot be held out; add images or leave the class out of wnids.txt"
            ) from error
        splits = {
            "train": [layout.train[i] for i in np.flatnonzero(parts == 0)],
            "validation": [layout.train[i] for i in np.flatnonzero(parts == 1)],
            "test": layout.test,
        }
        told = partial(progress, "reading tiny_imagenet")
        reading = write_splits(tree, splits, writer, _must_be_64, told, MAX_IMAGE_BYTES)
        reading.tell(writer, source, "download the archive again")


def _must_be_64(image: Image.Image) -> Image.Image:
    if image.size != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"{image.width} x {image.height} pixels instead of {IMAGE_SIZE} x {IMAGE_SIZE}")
    return image
