"""Data sets that come as two arrays, train and test, small enough for memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmae_ablate.components.datasets.holdout import hold_out
from cmae_ablate.data.arrays import ArrayWriter, ExpectedSize, Progress
from cmae_ablate.errors import UserError


@dataclass(frozen=True)
class Labelled:
    """Images (n, 3, S, S) uint8 with their classes (n,) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def write_labelled(
    writer: ArrayWriter,
    progress: Progress,
    *,
    name: str,
    class_names: Sequence[str],
    train: Labelled,
    test: Labelled,
    validation_fraction: float,
) -> None:
    """Write three splits; validation is carved out of train, class by class, by a fixed rule.

    Raises:
        UserError: A label names no class, or a class has too few images to hold any out.
    """
    for part, found in (("train", train), ("test", test)):
        if not len(found.labels) or found.labels.min() < 0 or found.labels.max() >= len(class_names):
            raise UserError(
                f"dataset.source: {name}: {part} has no images, or labels beyond its "
                f"{len(class_names)} classes; download the archive again"
            )
    try:
        parts = hold_out(train.labels, [validation_fraction])
    except ValueError as error:
        raise UserError(
            f"dataset.source: {name}: class '{class_names[error.args[0]]}' has only one training image, "
            "so that no validation part can be held out; download the archive again"
        ) from error
    writer.describe(name, class_names, train.images.shape[-1])
    splits = {
        "train": Labelled(train.images[parts == 0], train.labels[parts == 0]),
        "validation": Labelled(train.images[parts == 1], train.labels[parts == 1]),
        "test": test,
    }
    for done, (split, found) in enumerate(splits.items(), 1):
        rows = writer.allocate(split, len(found.labels))
        rows.images[:] = found.images
        rows.labels[:] = found.labels
        progress(f"writing {name}", done, len(splits))


def official_size(train: int, test: int, classes: int, image_size: int, fraction: float) -> ExpectedSize:
    """What is expected of a data set whose files nobody has named yet."""
    held_out = round(train * fraction)
    basis = "official sizes; no source is named, so nothing was read"
    return ExpectedSize(train - held_out, held_out + test, classes, image_size, basis)
