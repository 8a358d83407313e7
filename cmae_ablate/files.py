"""The disk that state lies on: files for their owner only, and what to say when there is no room left."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from cmae_ablate.errors import UserError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# SQLAlchemy and torch wrap what the system said into errors of their own.
_WORDS = ("database or disk is full", "No space left on device", "Disk quota exceeded")


def cache_root() -> Path:
    """What all studies of a user share, prepared data above all: `$CMAE_ABLATE_CACHE`, else the platform's
    cache folder of this user.
    """
    chosen = os.environ.get("CMAE_ABLATE_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("cmae-ablate"))


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


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees all of it or none, readable by the owner only.

    Raises:
        OSError: The disk is full or the folder cannot be written to; nothing half-written stays.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or whatever caused it, says that a disk has no room left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        if any(words in str(error) for words in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def no_room(place: Path) -> str:
    """What to say, and to do, where the disk of `place` is full."""
    free = shutil.disk_usage(place).free / 1e6
    return (
        f"{place}: no room left on its disk ({free:,.0f} MB free); free some, for example by "
        f"`cmae-ablate cache prune --unused --out {place}`, and the same command goes on"
    )


def create_private(path: Path) -> None:
    """Create an empty file that only its owner may read, and its folder likewise; a no-op where it exists.

    Raises:
        UserError: It cannot be created or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be created or written ({error.strerror}); choose another --out or --storage"
        ) from None
