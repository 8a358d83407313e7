"""Any images sorted into one folder per class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from cmae_ablate.components.datasets.file_tree import FolderTree
from cmae_ablate.components.datasets.folder_layout import REMEDY, Listing, check_classes, read_listing
from cmae_ablate.components.datasets.holdout import hold_out
from cmae_ablate.components.datasets.image_decode import without_warnings
from cmae_ablate.components.datasets.image_files import (
    Damage,
    LabelledFile,
    fit,
    load_image,
    write_splits,
)
from cmae_ablate.components.datasets.source_identity import files_identity
from cmae_ablate.components.datasets.sources import find_source
from cmae_ablate.components.protocols import DATASETS
from cmae_ablate.data.arrays import ArrayWriter, ExpectedSize, Progress
from cmae_ablate.errors import UserError, readable

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2
DAMAGED = "damaged image(s)"


@DATASETS.register("folder", version=2, place="source")
class Folder:
    """Your own images in ImageFolder layout: `train/<class>/`, and `validation/<class>/`, `test/<class>/`.

    Source: yours, as torchvision's ImageFolder reads it. Different here: it is prepared once, at one size:
    images of any size are resized by their shorter side and cropped at the centre; transparent ones are laid
    on white; boxes are unknown. Links are followed; hidden files and those of tools are skipped, at any
    depth, and whatever else is left out is counted and said. What is missing is made from what is there,
    and said: without `validation`, 10 % of each training class; without `test`, the validation folder is
    the test part (the custom of ImageNet) and 10 % of train is held out instead; with neither, 20 % and
    10 % of train. A folder of class folders without `train` counts as train.

    Args:
        source: The folder. Source: torchvision's ImageFolder.
        image_size: Height and width in pixels to prepare. Source: ours.
        skip_damaged: Leave unreadable images out instead of refusing. Source: ours.
    """

    def __init__(
        self,
        *,
        source: str | None = None,
        image_size: Annotated[int, Field(ge=16, le=512)] = 64,
        skip_damaged: bool = False,
    ) -> None:
        self._source = source
        self._size = image_size
        self._skip = skip_damaged

    def expected_size(self) -> ExpectedSize | None:
        """Unknown until the folder is read."""
        return None

    def cache_key(self) -> str:
        """The identity of the images, what is left out with a word, and the options."""
        source = self._found()
        tree = FolderTree(source)
        listing = read_listing(tree, source)
        classes = (f"{part}/{name}" for part, names in listing.parts.items() for name in names)
        told = (*classes, *listing.notices, listing.account().notice() or "")
        found = files_identity(tree, listing.paths(), str(source), *told)
        return f"{self._size}px{'-skipping' if self._skip else ''}-{found}"

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        """Decode, resize and crop every image."""
        source = self._found()
        tree = FolderTree(source)
        listing = read_listing(tree, source)
        if self._skip:
            self._leave_out_damaged(tree, listing, progress)
        folders = check_classes(source, listing)
        writer.account(listing.account())
        for message in listing.notices:
            writer.notice(message)
        class_names = tuple(readable(folder) for folder in folders)
        labels = {folder: label for label, folder in enumerate(folders)}
        files = {
            part: [LabelledFile(path, labels[name]) for name, paths in classes.items() for path in paths]
            for part, classes in listing.parts.items()
        }
        splits = divide(source, files, class_names, writer)
        writer.describe("folder", class_names, self._size)
        reading = write_splits(
            tree, splits, writer, partial(fit, size=self._size), partial(progress, "reading images")
        )
        remedy = "repair or delete them, or set dataset.skip_damaged=true"
        reading.tell(writer, source, remedy)

    def _found(self) -> Path:
        source = find_source("folder", self._source, REMEDY)
        if not source.is_dir():
            raise UserError(f"dataset.source: {source} is no folder; extract it, and {REMEDY}")
        return source

    def _leave_out_damaged(self, tree: FolderTree, listing: Listing, progress: Progress) -> None:
        """Leave out what cannot be decoded. Decodes everything once more, as splits depend on the result."""
        total, done = len(listing.paths()), 0
        with without_warnings():
            for classes in listing.parts.values():
                for name, paths in classes.items():
                    loaded = (load_image(tree, path, partial(fit, size=self._size)) for path in paths)
                    bad = {found.path for found in loaded if isinstance(found, Damage)}
                    classes[name] = [path for path in paths if path not in bad]
                    listing.left_out += [(path, DAMAGED) for path in bad]
                    done += len(paths)
                    progress("checking images", done, total)


def divide(
    source: Path,
    files: Mapping[str, list[LabelledFile]],
    class_names: tuple[str, ...],
    writer: ArrayWriter,
) -> dict[str, list[LabelledFile]]:
    """Train, validation and test from the parts that exist; what is made up is told as a notice.

    Raises:
        UserError: A class of train is too small to hold images out.
    """
    given, name = dict(files), readable(source.name)
    if "test" in given and "validation" in given:
        return {split: given[split] for split in ("train", "validation", "test")}
    fractions = {"validation": VALIDATION_FRACTION}
    if "test" in given:
        writer.notice(f"'{name}' has no validation part: 10 % of each training class is held out for it")
    elif "validation" in given:
        given["test"] = given.pop("validation")
        writer.notice(
            f"'{name}' has no test part: its validation images are the test part, "
            "and 10 % of each training class is held out for validation"
        )
    else:
        fractions["test"] = TEST_FRACTION
        writer.notice(
            f"'{name}' has neither a validation nor a test part: "
            "10 % and 20 % of each training class are held out for them"
        )
    train = given["train"]
    try:
        parts = hold_out(np.array([file.label for file in train], np.int64), list(fractions.values()))
    except ValueError as error:
        raise UserError(
            f"dataset.source: {source}: class '{class_names[error.args[0]]}' has too few training images "
            f"(fewer than {len(fractions) + 1}) to hold out {' and '.join(fractions)}; add images"
        ) from error
    for number, split in enumerate(fractions, 1):
        given[split] = [train[index] for index in np.flatnonzero(parts == number)]
    given["train"] = [train[index] for index in np.flatnonzero(parts == 0)]
    return {split: given[split] for split in ("train", "validation", "test")}
