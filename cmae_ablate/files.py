"""Files: what a path is read as, whoever gave it; records of finished work; the disk that state lies on.

A record is JSON that carries its own SHA-256, so that a damaged one is known and set aside.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import platformdirs

from cmae_ablate.errors import UserError, readable, writing

MAX_WEIGHTS = 64 * 2**30
"""Of a file of weights, whose training state may be in it: ViT-H with its optimiser has 8 GB."""
JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
SEAL = "record_sha256"
"""The key that holds the digest of all others."""
MAX_RECORD = 64 * 2**20
"""Of a record; the longest history of a pretraining takes a few megabytes."""


def cache_root() -> Path:
    """What all studies of a user share, prepared data above all: `$CMAE_ABLATE_CACHE`, else the platform's
    cache folder of this user.
    """
    chosen = os.environ.get("CMAE_ABLATE_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("cmae-ablate"))


class UnfitFileError(OSError):
    """A path that is no file to be read: a pipe, a device, or one larger than any such file is."""

    def __str__(self) -> str:
        """What is wrong, without a number and without the path, which whoever catches it names."""
        return str(self.strerror)


def open_regular(path: str, flags: int) -> int:
    """An opener for `open`: a file's descriptor, where a pipe must not be waited for, nor a device read.

    Raises:
        UnfitFileError: It is no regular file.
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "it is a folder" if stat.S_ISDIR(mode) else "it is a pipe or a device, no regular file"
        raise UnfitFileError(errno.EINVAL, what, path)
    return descriptor


def open_to_read(path: str | Path) -> BufferedReader:
    """A regular file, opened.

    Raises:
        UnfitFileError: It is none, or no file can have this name.
        OSError: It cannot be opened.
    """
    try:
        return open(path, "rb", opener=open_regular)
    except ValueError as error:  # a NUL, or a lone surrogate
        raise UnfitFileError(
            errno.EINVAL, f"no file can have this name ({error})", readable(str(path))
        ) from error


def check_regular(path: str | Path, limit: int) -> None:
    """Refuse what a library that takes a path must not be given.

    Raises:
        UnfitFileError: It is no regular file, or has more than `limit` bytes.
        OSError: It cannot be read.
    """
    with open_to_read(path) as file:
        _check_size(path, os.fstat(file.fileno()).st_size, limit)


def read_regular(path: str | Path, limit: int) -> bytes:
    """The contents of a regular file, read only where it has at most `limit` bytes.

    Raises:
        UnfitFileError: It is no regular file, or larger.
        OSError: It cannot be read.
    """
    with open_to_read(path) as file:
        _check_size(path, os.fstat(file.fileno()).st_size, limit)
        # With a number: a file may grow meanwhile, and those of /proc have no size.
        content = file.read(limit + 1)
    _check_size(path, len(content), limit)
    return content


def _check_size(path: str | Path, size: int, limit: int) -> None:
    if size > limit:
        what = f"its {size:,} bytes are more than the {limit:,} that such a file may have"
        raise UnfitFileError(errno.EINVAL, what, str(path))


@contextmanager
def private_files() -> Iterator[None]:
    """Whatever this process and its children create meanwhile, only the owner may read.

    Databases, their journals, logs, weights and MLflow's artifacts come from many libraries, most of which
    take no mode: the process's mask reaches all of them.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a crash, sees all of it or none; through a link where it is one.

    Args:
        path: The file; what was there is replaced.
        content: All of it.
        mode: Who may read a new one; by default its owner only.

    Raises:
        OSError: The disk is full or the folder cannot be written to; nothing half-written stays.
    """
    target = Path(os.path.realpath(path))
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # nobody knows the one aside
        raise
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to write files into, all of which take their places in `folder` at the end, or none.

    Raises:
        OSError: There is no room, or no way to write; what was in `folder` is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        yield aside
        for path in sorted(aside.iterdir()):
            os.replace(path, folder / path.name)
    except OSError as error:
        if error.filename is not None:  # nobody knows the one aside
            error.filename, error.filename2 = str(folder / Path(os.fsdecode(error.filename)).name), None
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def create_private(path: Path) -> None:
    """Create an empty file that only its owner may read, and its folder likewise; a no-op where it exists.

    Raises:
        NoRoomError: The disk is full.
        UserError: It cannot be created or written for another reason.
    """
    with writing(path, "choose another --out or --storage"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


class DamagedError(Exception):
    """A file is not what was written: which one, and what is wrong with it.

    Args:
        path: The file.
        reason: What is wrong, as the end of a sentence that begins with the file's name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: damaged ({reason})")
        self.path = path
        self.reason = reason


class MissingError(DamagedError):
    """A file that was written is not there: lost, pruned, or not copied with the others."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "missing")

    def __str__(self) -> str:
        """Nothing is known to be damaged."""
        return f"{self.path}: {self.reason}"


def sealed(content: Mapping[str, Any]) -> bytes:
    """The record as JSON, with the digest by which `read_record` knows it again."""
    return json.dumps({**content, SEAL: _digest(content)}, indent=1).encode()


def read_record(path: Path, *, needs_seal: bool = False) -> dict[str, Any]:
    """Read a record, without its seal.

    Args:
        path: The file.
        needs_seal: Whether one without a seal is damaged; else it is read as it is, being by an earlier
            version of this package.

    Raises:
        FileNotFoundError: There is none.
        DamagedError: It cannot be read, is no JSON mapping, or differs from what was sealed.
    """
    try:
        content = json.loads(read_regular(path, MAX_RECORD))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # text that is not UTF-8, and numbers of 6,000 digits, too
        raise DamagedError(path, "no JSON") from error
    if not isinstance(content, dict):
        raise DamagedError(path, "no JSON mapping")
    seal = content.pop(SEAL, None)
    if seal is None and needs_seal:
        raise DamagedError(path, "it has no SHA-256 of its own")
    if seal is not None and seal != _digest(content):
        raise DamagedError(path, "its content differs from its SHA-256")
    return content


def set_aside(path: Path) -> Path:
    """Rename a file or folder that is not to be used but not lost either; the new place.

    Raises:
        UserError: It cannot be renamed.
    """
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        os.rename(path, aside)
    except OSError as error:
        raise UserError(
            f"{path}: damaged, and cannot be renamed to be made again ({error.strerror}); remove it"
        ) from error
    return aside


def is_numbers(value: object) -> TypeGuard[dict[str, float]]:
    """Whether a value read from JSON is a mapping of names to numbers."""
    return isinstance(value, dict) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in value.values()
    )


def is_texts(value: object) -> TypeGuard[dict[str, str]]:
    """Whether a value read from JSON is a mapping of names to texts."""
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces.

    Raises:
        DamagedError: It cannot be read.
    """
    try:
        with open_to_read(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise MissingError(path) from error
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {error.strerror}") from error


def _digest(content: Mapping[str, Any]) -> str:
    # Through JSON and back: tuples, and keys that are numbers, read as they were sealed.
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
