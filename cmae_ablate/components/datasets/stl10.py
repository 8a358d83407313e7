"""STL-10, from the binary files that torchvision reads too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from cmae_ablate.components.datasets.file_tree import FileTree, open_tree, read_required
from cmae_ablate.components.datasets.small_arrays import Labelled, official_size, write_labelled
from cmae_ablate.components.datasets.sources import (
    Origin,
    named_files_identity,
    obtain,
    source_key,
    tell_named_files,
)
from cmae_ablate.components.protocols import DATASETS
from cmae_ablate.data.arrays import ArrayWriter, ExpectedSize, Progress
from cmae_ablate.errors import UserError

ORIGIN = Origin(
    name="stl10",
    url="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    md5="91f7769df0f17e558f3565bffb0c7dfb",
    size="2.5 GB",
    page="https://cs.stanford.edu/~acoates/stl10/",
)
IMAGE_SIZE = 96
FILES = ("class_names.txt", "train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
MAX_BYTES = 600 * 2**20
"""Of one file: the largest official one that is read has 221 MB."""
_BYTES = 3 * IMAGE_SIZE * IMAGE_SIZE


@DATASETS.register("stl10", version=1)
class Stl10:
    """STL-10: 5,000 labelled training and 8,000 test photographs of 96 pixels in 10 classes; no boxes.

    Source: Coates, Lee and Ng (2011); pictures come from ImageNet, whose terms apply: research use. Read
    from `stl10_binary.tar.gz` or the folder it extracts to (`stl10_binary`). Different here: its 100,000
    unlabelled images are not used, pretraining sees the labelled ones only; a part of these is held out
    for validation.

    It flatters what copes with few images (450 a class after validation is held out), and its test set
    is large beside its train set.

    Args:
        source: The archive, or the folder it extracts to. Source: ours.
        download: Fetch the archive (2.5 GB) where no source is given. Source: ours; nothing is fetched
            unasked.
        validation_fraction: Part of each class's training images that is held out for choices. Source: ours;
            the data set has no validation split.
    """

    def __init__(
        self,
        *,
        source: str | None = None,
        download: bool = False,
        validation_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1,
    ) -> None:
        self._source = source
        self._download = download
        self._fraction = validation_fraction

    def expected_size(self) -> ExpectedSize | None:
        """The official sizes, where no source is named that could differ from them."""
        return None if self._source else official_size(5_000, 8_000, 10, IMAGE_SIZE, self._fraction)

    def cache_key(self) -> str:
        """The source's identity and the options."""
        found = source_key(ORIGIN, self._source, self._download, named_files_identity(*FILES))
        return f"validation{self._fraction:g}-{found}"

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        """Read the labelled images."""
        source = obtain(ORIGIN, self._source, self._download, progress)
        with open_tree(source) as tree:
            listed = read_required(tree, "class_names.txt", source, ORIGIN.remedy(), MAX_BYTES)
            train, test = (_read_part(tree, part, source) for part in ("train", "test"))
            tell_named_files(writer, tree, FILES)
        write_labelled(
            writer,
            progress,
            name="stl10",
            class_names=listed.decode("utf-8-sig", "backslashreplace").split(),
            train=train,
            test=test,
            validation_fraction=self._fraction,
        )


def _read_part(tree: FileTree, part: str, source: Path) -> Labelled:
    pixels = np.frombuffer(read_required(tree, f"{part}_X.bin", source, ORIGIN.remedy(), MAX_BYTES), np.uint8)
    labels = np.frombuffer(read_required(tree, f"{part}_y.bin", source, ORIGIN.remedy(), MAX_BYTES), np.uint8)
    expected = _BYTES * len(labels)
    if len(pixels) != expected:
        raise UserError(
            f"dataset.source: {part}_X.bin in {source} has {len(pixels)} bytes instead of {expected} "
            f"for the {len(labels)} labels of {part}_y.bin; {ORIGIN.remedy()}"
        )
    # Each plane lies column by column, and classes count from 1.
    images = pixels.reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE).swapaxes(2, 3)
    return Labelled(images, labels.astype(np.int64) - 1)
