"""CIFAR-10 and CIFAR-100, from the files that torchvision reads too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import numpy as np
from pydantic import Field

from cmae_ablate.components.datasets.cifar_pickles import read_batch, read_names
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

T = TypeVar("T")
Fraction = Annotated[float, Field(gt=0, le=0.5)]
IMAGE_SIZE = 32
MAX_BYTES = 400 * 2**20
"""Of one file: the largest official one has 155 MB."""
_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"


@dataclass(frozen=True)
class Format:
    """How one CIFAR is laid out: files by their names, and keys in them."""

    origin: Origin
    train: tuple[str, ...]
    test: str
    meta: str
    label_key: str
    names_key: str
    num_classes: int

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all that is read."""
        return (*self.train, self.test, self.meta)


FORMAT_10 = Format(
    Origin(
        name="cifar10",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        size="163 MB",
        page=_PAGE,
    ),
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    label_key="labels",
    names_key="label_names",
    num_classes=10,
)
FORMAT_100 = Format(
    Origin(
        name="cifar100",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        size="161 MB",
        page=_PAGE,
    ),
    train=("train",),
    test="test",
    meta="meta",
    label_key="fine_labels",
    names_key="fine_label_names",
    num_classes=100,
)


class _Cifar:
    """What the two have in common: all but the layout of their files."""

    layout: ClassVar[Format]

    def __init__(
        self, *, source: str | None = None, download: bool = False, validation_fraction: Fraction = 0.1
    ) -> None:
        self._source, self._download, self._fraction = source, download, validation_fraction

    def expected_size(self) -> ExpectedSize | None:
        """The official sizes, where no source is named that could differ from them."""
        if self._source:
            return None
        return official_size(50_000, 10_000, self.layout.num_classes, IMAGE_SIZE, self._fraction)

    def cache_key(self) -> str:
        """The source's identity and the options."""
        named = named_files_identity(*self.layout.files)
        found = source_key(self.layout.origin, self._source, self._download, named)
        return f"validation{self._fraction:g}-{found}"

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        """Read all batches."""
        source = obtain(self.layout.origin, self._source, self._download, progress)
        _write(self.layout, source, self._fraction, writer, progress)


@DATASETS.register("cifar10", version=1)
class Cifar10(_Cifar):
    """CIFAR-10: 60,000 photographs of 32 pixels in 10 classes, 10,000 of them for test; no boxes.

    Source: Krizhevsky (2009), whose authors state no licence; read from `cifar-10-python.tar.gz` or the
    folder it extracts to (`cifar-10-batches-py`, as torchvision leaves it). Different here: a part of the
    training images is held out for validation.

    It flatters methods that live on colour and coarse shape: 32 pixels leave few patches to mask, and
    objects are centred, so cropping by localisation has little to gain.

    Args:
        source: The archive, or the folder it extracts to. Source: ours.
        download: Fetch the archive (163 MB) where no source is given. Source: ours; nothing is fetched
            unasked.
        validation_fraction: Part of each class's training images that is held out for choices. Source: ours;
            the data set has no validation split.
    """

    layout = FORMAT_10


@DATASETS.register("cifar100", version=1)
class Cifar100(_Cifar):
    """CIFAR-100: 60,000 photographs of 32 pixels in 100 fine classes, 10,000 of them for test; no boxes.

    Source: Krizhevsky (2009), whose authors state no licence; read from `cifar-100-python.tar.gz` or the
    folder it extracts to (`cifar-100-python`, as torchvision leaves it). Different here: a part of the
    training images is held out for validation.

    It flatters as CIFAR-10 does, less so: 500 images a class make coarse cues go less far.

    Args:
        source: The archive, or the folder it extracts to. Source: ours.
        download: Fetch the archive (161 MB) where no source is given. Source: ours; nothing is fetched
            unasked.
        validation_fraction: Part of each class's training images that is held out for choices. Source: ours;
            the data set has no validation split.
    """

    layout = FORMAT_100


def _write(layout: Format, source: Path, fraction: float, writer: ArrayWriter, progress: Progress) -> None:
    with open_tree(source) as tree:
        *batches, test = (
            _read(layout, tree, source, name, lambda file: read_batch(file, layout.label_key, IMAGE_SIZE))
            for name in (*layout.train, layout.test)
        )
        names = _read(layout, tree, source, layout.meta, lambda file: read_names(file, layout.names_key))
        tell_named_files(writer, tree, layout.files)
    images = np.concatenate([batch.images for batch in batches])
    labels = np.concatenate([batch.labels for batch in batches])
    write_labelled(
        writer,
        progress,
        name=layout.origin.name,
        class_names=names,
        train=Labelled(images, labels),
        test=test,
        validation_fraction=fraction,
    )


def _read(layout: Format, tree: FileTree, source: Path, name: str, parse: Callable[[bytes], T]) -> T:
    contents = read_required(tree, name, source, layout.origin.remedy(), MAX_BYTES)
    try:
        return parse(contents)
    except ValueError as error:
        raise UserError(f"dataset.source: {name} in {source}: {error}; {layout.origin.remedy()}") from error
