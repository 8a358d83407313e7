"""Where a data set's files come from: found by the user's path, or fetched from the official page."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from cmae_ablate.arrays import Progress, cache_root
from cmae_ablate.errors import UserError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Origin:
    """An official archive.

    Attributes:
        name: The data set as a study writes it.
        url: The archive.
        md5: Its checksum as published.
        size: For people, such as `237 MB`.
        page: Where it is described.
    """

    name: str
    url: str
    md5: str
    size: str
    page: str

    @property
    def file(self) -> str:
        """The archive's file name."""
        return self.url.rsplit("/", 1)[-1]

    def remedy(self) -> str:
        """What to do where the files are missing."""
        return (
            f"download {self.file} ({self.size}) from {self.url} (described at {self.page}), then run\n"
            f"  cmae-ablate data prepare {self.name} --source PATH_OF_{self.file}\n"
            f"and set dataset.source to the same path in a study; with a network, --download "
            f"(dataset.download=true) fetches it"
        )


def find_source(name: str, source: str | None, remedy: str) -> Path:
    """The absolute path of a source: `~` is expanded, a relative path starts at the working directory.

    Raises:
        UserError: No source is given, or there is nothing at it.
    """
    if source is None:
        raise UserError(f"dataset.source: {name} needs its files; {remedy}")
    path = Path(source).expanduser().resolve()
    if not path.exists():
        raise UserError(f"dataset.source: {path} does not exist; correct the path, or {remedy}")
    return path


def source_key(origin: Origin, source: str | None, download: bool) -> str:
    """What tells sources apart in a cache key, before anything is downloaded.

    Raises:
        UserError: The source is missing.
    """
    if source is None and download:
        return f"official-{origin.md5[:8]}"
    return identity(find_source(origin.name, source, origin.remedy()))


def identity(path: Path) -> str:
    """A hash of where a source lies and of what seems to be in it: names, sizes and times, not contents."""
    digest = hashlib.sha256(str(path).encode())
    members = sorted(path.rglob("*")) if path.is_dir() else [path]
    for member in members:
        if member.is_file():
            found = member.stat()
            digest.update(f"\n{member.relative_to(path)} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def obtain(origin: Origin, source: str | None, download: bool, progress: Progress) -> Path:
    """The source given, or the official archive, downloaded into the cache and checked.

    Raises:
        UserError: The source is missing, the network fails, or what came is not the published file.
    """
    if source is not None or not download:
        return find_source(origin.name, source, origin.remedy())
    target = cache_root() / "downloads" / origin.file
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        found = _download(origin, partial, progress)
        if found != origin.md5:
            raise UserError(
                f"dataset.download: {origin.url} delivered a file with MD5 {found} instead of {origin.md5}; "
                "try again later, or get the file another way and set dataset.source"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _download(origin: Origin, target: Path, progress: Progress) -> str:
    checksum = hashlib.md5(usedforsecurity=False)
    try:
        with urllib.request.urlopen(origin.url, timeout=30) as reply:
            total = int(reply.headers.get("Content-Length", 0))
            if total > shutil.disk_usage(target.parent).free:
                raise UserError(
                    f"dataset.download: {origin.file} needs {total} bytes; free space in {target.parent}"
                )
            with target.open("wb") as file:
                while block := reply.read(_BLOCK):
                    file.write(block)
                    checksum.update(block)
                    progress(f"downloading {origin.file}", file.tell(), max(total, file.tell()))
    except (OSError, ValueError) as error:
        raise UserError(
            f"dataset.download: {origin.url} cannot be fetched ({error}); {origin.remedy()}"
        ) from error
    return checksum.hexdigest()
