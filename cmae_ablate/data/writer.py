"""How a data set becomes files: one split's arrays, and the writer that fills them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cmae_ablate.data.account import Account
from cmae_ablate.data.shared_images import images_of_two_classes, shared_images
from cmae_ablate.files import sealed

SPLITS = ("train", "validation", "test")
Scalar = TypeVar("Scalar", bound=np.generic)
FORMAT = 2  # of the prepared folder; raise it when its files change their meaning
_CHUNK_IMAGES = 1024
_LARGE_BYTES = 2**30

Progress = Callable[[str, int, int], None]
"""Called as `progress(label, done, total)`."""
Notice = Callable[[str], None]
"""Called with one sentence that the user should read."""


@dataclass(frozen=True)
class Split:
    """One part of a data set; row i of each array belongs to image i.

    Attributes:
        images: RGB, (n, 3, H, W) uint8, memory-mapped copy-on-write: writing to it never reaches the disk.
        labels: Class of each image in [0, num_classes), (n,) int64.
        boxes: Top, left, bottom, right of the object in [0, 1], (n, 4) float32; NaN where unknown.
        groups: Which images have a source in common (a photograph, a place), (n,) int32: images of one group
            are no independent draws, so an interval over images resamples groups. None where all are.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]
    groups: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """All arrays that there are, in a fixed order."""
        known = (self.images, self.labels, self.boxes)
        return known if self.groups is None else (*known, self.groups)


class ArrayWriter:
    """Takes one data set, split by split, straight to files: large sets never sit in memory."""

    def __init__(self, folder: Path, notice: Notice) -> None:
        self._folder = folder
        self._tell = notice
        self._notices: list[str] = []
        self._splits: dict[str, Split] = {}
        self._name = ""
        self._class_names: tuple[str, ...] = ()
        self._image_size = 0
        self._account: Account | None = None
        self._row_names: dict[str, Sequence[str]] = {}

    def describe(self, name: str, class_names: Sequence[str], image_size: int) -> None:
        """State once, before any split, what all splits share; `image_size` in pixels."""
        self._name, self._class_names, self._image_size = name, tuple(class_names), image_size

    def notice(self, message: str) -> None:
        """Tell the user something about these data, now and whenever they are shown."""
        self._notices.append(message)
        self._tell(message)

    def account(self, account: Account) -> None:
        """State which of the source's files were used, and tell the user of what was unexpectedly not."""
        self._account = account
        if (message := account.notice()) is not None:
            self.notice(message)

    def allocate(self, split: str, count: int, *, grouped: bool = False, names: Sequence[str] = ()) -> Split:
        """Make room for `count` images of `train`, `validation` or `test`, and return it for writing.

        Every image, label and (where `grouped`) group must be filled in; boxes start as NaN.

        Args:
            split: Which part.
            count: How many images.
            grouped: Whether images have sources in common.
            names: What to call each image in a notice, such as its path; `train image 17` by default.
        """
        assert split in SPLITS, split
        assert self._class_names, "describe() comes first"
        assert split not in self._splits, f"{split} is allocated twice"
        size = self._image_size
        reserved = Split(
            images=_reserve(self._folder / f"{split}.images.npy", (count, 3, size, size), np.uint8),
            labels=_reserve(self._folder / f"{split}.labels.npy", (count,), np.int64),
            boxes=_reserve(self._folder / f"{split}.boxes.npy", (count, 4), np.float32),
            groups=_reserve(self._folder / f"{split}.groups.npy", (count,), np.int32) if grouped else None,
        )
        reserved.labels[:] = -1
        reserved.boxes[:] = np.nan
        if reserved.groups is not None:
            reserved.groups[:] = -1
        self._splits[split] = reserved
        self._row_names[split] = names
        return reserved

    def finish(self) -> None:
        """Check what was written, and make the folder complete by writing `meta.json`."""
        assert set(self._splits) == set(SPLITS), f"only {sorted(self._splits)} were written"
        for name, split in self._splits.items():
            in_range = (split.labels >= 0) & (split.labels < len(self._class_names))
            assert in_range.all(), f"{name}: {np.count_nonzero(~in_range)} images have no valid label"
            assert split.groups is None or (split.groups >= 0).all(), f"{name}: images have no group"
            for array in split.arrays():
                assert isinstance(array, np.memmap)
                array.flush()
        images = {name: self._splits[name].images for name in SPLITS}
        labels = {name: self._splits[name].labels for name in SPLITS}
        for message in (
            *shared_images(images, self._row_names),
            *images_of_two_classes(images, labels, self._row_names),
        ):
            self.notice(message)
        mean, std = _channel_statistics(self._splits["train"].images)
        meta = {
            "format": FORMAT,
            "name": self._name,
            "class_names": list(self._class_names),
            "digest": digest_of(self._class_names, self._splits),
            "mean": mean,
            "std": std,
            "notices": self._notices,
            "account": self._account and self._account.to_json(),
            "bytes": {path.name: path.stat().st_size for path in sorted(self._folder.glob("*.npy"))},
        }
        (self._folder / "meta.json").write_bytes(sealed(meta))


def _reserve(path: Path, shape: tuple[int, ...], dtype: type[Scalar]) -> NDArray[Scalar]:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    # The file is sparse so far: on a full disk, writing to the map would kill the process by SIGBUS.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _channel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel in [0, 1], exact: from counts of the 256 values."""
    counts = np.zeros((3, 256), np.int64)
    for chunk in _chunks(images):
        for channel in range(3):
            counts[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    pixels = counts.sum(1)
    mean = counts @ values / pixels
    variance = counts @ values**2 / pixels - mean**2
    # A channel that never varies is centred and left at that: divided by nothing it would be NaN.
    varies = (counts > 0).sum(1) > 1
    return mean.tolist(), np.where(varies, np.sqrt(np.maximum(variance, 0)), 1.0).tolist()


def digest_of(
    class_names: Sequence[str],
    splits: Mapping[str, Split],
    progress: Progress = lambda label, done, total: None,
) -> str:
    """SHA-256 over all arrays of all splits and the class names.

    Args:
        class_names: What label i means.
        splits: All of `SPLITS`.
        progress: Hears how many images are read, of data that take longer than a moment.
    """
    digest = hashlib.sha256(json.dumps(list(class_names)).encode())
    for name in SPLITS:
        for array in splits[name].arrays():
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            for index, chunk in enumerate(_chunks(array)):
                digest.update(chunk.tobytes())
                if array.nbytes > _LARGE_BYTES:
                    done = min((index + 1) * _CHUNK_IMAGES, len(array))
                    progress(f"checking {name}", done, len(array))
    return digest.hexdigest()


def _chunks(array: NDArray[Scalar]) -> Iterator[NDArray[Scalar]]:
    for start in range(0, len(array), _CHUNK_IMAGES):
        yield array[start : start + _CHUNK_IMAGES]
