"""Prepared data: a data set becomes memory-mapped arrays in a cache folder, once.

A folder that carries `meta.json` is complete: everything is written beside its final place and moved
there at the end, under a lock, so that several workers may ask for the same data at once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from cmae_ablate.data.account import Account
from cmae_ablate.data.dataset import Dataset, ExpectedSize
from cmae_ablate.data.writer import FORMAT, SPLITS, ArrayWriter, Notice, Progress, Split, digest_of
from cmae_ablate.errors import NoRoomError, UserError, is_full, no_room
from cmae_ablate.files import DamagedError, cache_root, is_numbers, is_texts, read_record, set_aside

__all__ = [
    "SPLITS",
    "ArrayWriter",
    "DataArrays",
    "Dataset",
    "ExpectedSize",
    "Notice",
    "Progress",
    "Split",
    "cache_root",
    "prepare",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataArrays:
    """A prepared data set.

    Attributes:
        name: Short readable name.
        class_names: What label i means.
        digest: SHA-256 over all arrays and class names; where the data lay has no part in it.
        mean: Per-channel mean of the training pixels, in [0, 1].
        std: Per-channel standard deviation of the training pixels, in [0, 1].
        notices: What the user should know about how the splits were made.
        train: For pretraining and for fitting.
        validation: For every choice.
        test: Looked at once.
        account: Which of the source's files were used; None where the images were generated.
    """

    name: str
    class_names: tuple[str, ...]
    digest: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    notices: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    account: Account | None = None

    @property
    def image_size(self) -> int:
        """Height and width of every image in pixels."""
        return int(self.train.images.shape[-1])

    @property
    def num_classes(self) -> int:
        """How many classes the labels tell apart."""
        return len(self.class_names)


def prepare(
    dataset: Dataset,
    root: Path | None = None,
    progress: Progress = lambda label, done, total: None,
    notice: Notice | None = None,
    *,
    owner: str = "",
) -> DataArrays:
    """Open a data set's arrays, writing them first where the cache has none or only damaged ones.

    Of a trial's data set `Choice.prepare` does so.

    Args:
        dataset: What to prepare.
        root: The cache folder; `cache_root()` by default.
        progress: Hears how far the writing is.
        notice: Hears sentences for the user, a log by default; those of an earlier preparation are in
            `DataArrays.notices`.
        owner: Registered name and version of the data set; they begin the folder's name.

    Raises:
        UserError: The source is missing or damaged, the cache cannot be written, or the data set's key is no
            name of a folder. Nothing half-prepared is left behind.
        NoRoomError: The disk of the cache is full; nor then.
    """
    root = cache_root() if root is None else root
    notice = _log.warning if notice is None else notice
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = root / _folder_name(dataset, owner)
        with _locked(root / f"{folder.name}.lock", notice):
            damage = _damage(folder, progress)
            if damage:
                if _is_of_another_format(folder):
                    notice(f"{folder}: {damage}; the data are prepared again")
                elif folder.exists():
                    aside = set_aside(folder)
                    notice(f"{folder}: {damage}; kept as {aside.name}, the data are prepared again")
                _write(dataset, folder, progress, notice)
                _trust(folder)
            return _open(folder)
    except OSError as error:
        if is_full(error):
            raise NoRoomError(no_room(root)) from error
        raise UserError(
            f"preparing data: {error.filename or root}: {error.strerror or error}; check permissions and "
            f"free space, or set CMAE_ABLATE_CACHE (now {root}) to a folder that can be written"
        ) from error


def _folder_name(dataset: Dataset, owner: str) -> str:
    key = dataset.cache_key()
    if Path(key).name != key or key in ("", ".."):
        raise UserError(
            f"data set {type(dataset).__module__}.{type(dataset).__name__}: its cache_key() is '{key}', "
            "which names no single folder; let it return a text without slashes"
        )
    return f"{owner}-{key}" if owner else key


@contextmanager
def _locked(path: Path, notice: Notice) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0.2)
    except Timeout:
        notice(f"another process is preparing {path.stem}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write(dataset: Dataset, folder: Path, progress: Progress, notice: Notice) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    # A killed process may have left one; the lock is held, so nobody is writing to it now.
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        writer = ArrayWriter(partial, notice)
        dataset.write(writer, progress)
        writer.finish()
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _damage(folder: Path, progress: Progress) -> str | None:
    """Why a prepared folder cannot be used; None where it holds what was prepared, byte for byte.

    The arrays are read through once a command, about a second a gigabyte: nothing else would notice a
    changed image of the same size.
    """
    try:
        _check(folder, progress)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except DamagedError as error:
        return f"{error.path.name}: {error.reason}"
    except OSError as error:
        return f"{Path(error.filename or folder).name} cannot be read: {error.strerror or error}"
    except (ValueError, KeyError, TypeError, AttributeError, EOFError):
        return "meta.json is damaged"
    return None


def _check(folder: Path, progress: Progress) -> None:
    path = folder / "meta.json"
    meta = read_record(path)
    if meta["format"] != FORMAT:
        raise DamagedError(path, f"it is of format {meta['format']}, not {FORMAT}")
    for name, size in meta["bytes"].items():
        found = (folder / name).stat().st_size
        if found != size:
            raise DamagedError(folder / name, f"it has {found} bytes instead of {size}")
    if _is_trusted(folder):
        return
    _check_meta(path, meta)
    data = _open(folder)
    splits = {split: getattr(data, split) for split in SPLITS}
    if digest_of(data.class_names, splits, progress) != data.digest:
        raise DamagedError(folder, "its images, labels or boxes are not those prepared: the SHA-256 differs")
    _trust(folder)


def _check_meta(path: Path, meta: Mapping[str, Any]) -> None:
    statistics = [*meta["mean"], *meta["std"]]
    if len(statistics) != 6 or not is_numbers(dict(enumerate(statistics))):
        raise DamagedError(path, "its mean and std are not three numbers each")
    if not all(0 <= mean <= 1 for mean in meta["mean"]) or not all(0 < std <= 1 for std in meta["std"]):
        raise DamagedError(path, "its mean or std is out of range")
    if not isinstance(meta["notices"], list) or not is_texts(
        dict(enumerate([meta["name"], *meta["notices"]]))
    ):
        raise DamagedError(path, "its name or notices are no texts")


def _is_of_another_format(folder: Path) -> bool:
    """Whether another version of this package prepared the folder, which is no damage."""
    try:
        return bool(read_record(folder / "meta.json")["format"] != FORMAT)
    except (OSError, DamagedError, KeyError):
        return False


_TRUSTED = "CMAE_ABLATE_TRUSTED_DATA"
"""Environment variable, inherited by workers: the prepared folders that their command has read through."""


def _is_trusted(folder: Path) -> bool:
    """Whether this command has read the folder through, and no file of it was touched since."""
    return _state_of(folder) in os.environ.get(_TRUSTED, "").split()


def _trust(folder: Path) -> None:
    known = os.environ.get(_TRUSTED, "").split()
    os.environ[_TRUSTED] = " ".join(dict.fromkeys([*known, _state_of(folder)]))


def _state_of(folder: Path) -> str:
    """Changes with every file of the folder that is written, renamed or replaced."""
    files = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    parts = [(name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in files]
    return hashlib.sha256(json.dumps([str(folder.resolve()), parts]).encode()).hexdigest()[:32]


def _open(folder: Path) -> DataArrays:
    meta = read_record(folder / "meta.json")
    splits = {
        split: Split(
            # Copy-on-write rather than read-only: torch warns about arrays that cannot be written.
            images=np.load(folder / f"{split}.images.npy", mmap_mode="c"),
            labels=np.load(folder / f"{split}.labels.npy"),
            boxes=np.load(folder / f"{split}.boxes.npy"),
            groups=np.load(groups) if (groups := folder / f"{split}.groups.npy").exists() else None,
        )
        for split in SPLITS
    }
    return DataArrays(
        name=meta["name"],
        class_names=tuple(meta["class_names"]),
        digest=meta["digest"],
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        notices=tuple(meta["notices"]),
        account=Account.from_json(meta["account"]) if meta["account"] else None,
        **splits,
    )
