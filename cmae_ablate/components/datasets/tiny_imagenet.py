"""Tiny-ImageNet, the data of the paper's headline number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from cmae_ablate.arrays import ArrayWriter, ExpectedSize, Progress
from cmae_ablate.components.datasets.file_tree import FileTree, find, open_tree, read_required
from cmae_ablate.components.datasets.holdout import hold_out
from cmae_ablate.components.datasets.image_files import (
    Box,
    Damage,
    LabelledFile,
    counter,
    refuse_damaged,
    write_files,
)
from cmae_ablate.components.datasets.small_arrays import official_size
from cmae_ablate.components.datasets.sources import Origin, obtain, source_key
from cmae_ablate.errors import UserError
from cmae_ablate.slots import DATASETS

ORIGIN = Origin(
    name="tiny_imagenet",
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    size="237 MB",
    page="https://www.kaggle.com/c/tiny-imagenet",
)
IMAGE_SIZE = 64


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
        found = source_key(ORIGIN, self._source, self._download)
        return f"tiny_imagenet-v1-validation{self._fraction:g}{classes}-{found}"

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        """Decode every image of the classes that are there."""
        source = obtain(ORIGIN, self._source, self._download, progress)
        with open_tree(source) as tree:
            self._write(tree, source, writer, progress)

    def _write(self, tree: FileTree, source: Path, writer: ArrayWriter, progress: Progress) -> None:
        layout = read_layout(tree, source, self._limit)
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
        total, done = sum(len(files) for files in splits.values()), 0
        damaged: list[Damage] = []
        for split, files in splits.items():
            report = counter(progress, "reading tiny_imagenet", done, total)
            damaged += write_files(tree, files, writer.allocate(split, len(files)), _must_be_64, report)
            done += len(files)
        refuse_damaged(damaged, source, "download the archive again")


@dataclass(frozen=True)
class Layout:
    """What a copy of Tiny-ImageNet holds."""

    class_names: tuple[str, ...]
    train: list[LabelledFile]
    test: list[LabelledFile]
    notices: tuple[str, ...]


def read_layout(tree: FileTree, source: Path, limit: int | None) -> Layout:
    """Find classes, images and boxes.

    Raises:
        UserError: The copy lacks something that the official layout has.
    """
    remedy = "this is not Tiny-ImageNet's official layout; " + ORIGIN.remedy()
    listed = read_required(tree, "wnids.txt", source, remedy).decode().split()
    wnids_path = find(tree, "wnids.txt")
    assert wnids_path is not None
    root = wnids_path.removesuffix("wnids.txt")
    images: dict[str, list[str]] = {wnid: [] for wnid in sorted(listed)}
    for path in tree.files:
        parts = path.removeprefix(f"{root}train/").split("/")
        if (
            path.startswith(f"{root}train/")
            and len(parts) == 3
            and parts[1] == "images"
            and parts[0] in images
        ):
            images[parts[0]].append(path)
    notices = []
    empty = [wnid for wnid, paths in images.items() if not paths]
    if empty:
        notices.append(
            f"{source}: {len(empty)} of {len(listed)} classes in wnids.txt have no training images "
            f"and are left out: {', '.join(empty[:3])}{', ...' if len(empty) > 3 else ''}"
        )
    wnids = [wnid for wnid in images if wnid not in empty][:limit]
    if len(wnids) < 2:
        raise UserError(f"dataset.source: {source} has training images of fewer than two classes; {remedy}")
    names = _class_names(read_required(tree, "words.txt", source, remedy).decode(), wnids)
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    train = [file for wnid in wnids for file in _train_files(tree, root, wnid, labels[wnid], images[wnid])]
    annotations = read_required(tree, "val_annotations.txt", source, remedy).decode()
    test = _test_files(tree, f"{root}val/images/", annotations, labels, source)
    return Layout(names, train, test, tuple(notices))


def _class_names(words: str, wnids: list[str]) -> tuple[str, ...]:
    """The first word for each class; where two classes share it, the WordNet id tells them apart."""
    meanings = dict(line.split("\t", 1) for line in words.splitlines() if "\t" in line)
    names = [meanings.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({wnid})"
        for name, wnid in zip(names, wnids, strict=True)
    )


def _train_files(tree: FileTree, root: str, wnid: str, label: int, paths: list[str]) -> list[LabelledFile]:
    boxes: dict[str, Box | None] = {}
    table = f"{root}train/{wnid}/{wnid}_boxes.txt"
    if table in tree.files:
        for line in tree.read(table).decode().splitlines():
            name, *corners = line.split("\t")
            boxes[name] = _box(corners)
    return [LabelledFile(path, label, boxes.get(path.rsplit("/", 1)[-1])) for path in paths]


def _test_files(
    tree: FileTree, folder: str, annotations: str, labels: dict[str, int], source: Path
) -> list[LabelledFile]:
    present = set(tree.files)
    files: list[LabelledFile] = []
    missing: list[LabelledFile] = []
    for line in annotations.splitlines():
        name, wnid, *corners = line.split("\t")
        if wnid in labels:
            path = f"{folder}{name}"
            (files if path in present else missing).append(LabelledFile(path, labels[wnid], _box(corners)))
    if missing or not files:
        example = f", such as {missing[0].path}" if missing else ""
        raise UserError(
            f"dataset.source: {source} lacks {len(missing) or 'all'} of the official validation images"
            f"{example}; {ORIGIN.remedy()}"
        )
    return files


def _box(corners: list[str]) -> Box | None:
    """Left, top, right, bottom in whole pixels, the last ones included, to fractions of the image."""
    try:
        left, top, right, bottom = (int(corner) for corner in corners)
    except ValueError:
        return None
    if not (0 <= left <= right < IMAGE_SIZE and 0 <= top <= bottom < IMAGE_SIZE):
        return None
    return top / IMAGE_SIZE, left / IMAGE_SIZE, (bottom + 1) / IMAGE_SIZE, (right + 1) / IMAGE_SIZE


def _must_be_64(image: Image.Image) -> Image.Image:
    if image.size != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"{image.width} x {image.height} pixels instead of {IMAGE_SIZE} x {IMAGE_SIZE}")
    return image
