"""Where a data set's files come from: found by the user's path, or fetched from the official page."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from cmae_ablate.components.datasets.file_tree import FileTree, FolderTree, find
from cmae_ablate.components.datasets.source_identity import archive_identity, large_files_identity
from cmae_ablate.components.datasets.tool_files import TOOL
from cmae_ablate.data.account import account_of
from cmae_ablate.data.arrays import ArrayWriter, Progress, cache_root
from cmae_ablate.errors import UserError, readable

NOT_READ = "other file(s), which this data set does not need"
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
            f"download {self.file} ({self.size}) from {self.url} (described at {self.page}), then run "
            f"`cmae-ablate data prepare {self.name} --source PATH_OF_{self.file}` "
            f"and set dataset.source to the same path in a study; with a network, --download "
            f"(dataset.download=true) fetches it"
        )


def find_source(name: str, source: str | None, remedy: str) -> Path:
    """The absolute path of a source: `~` is expanded, a relative path starts at the working directory.

    Raises:
        UserError: No source is given, there is nothing at it, or it is neither a folder nor a file.
    """
    if source is None:
        raise UserError(f"dataset.source: {name} needs its files; {remedy}")
    try:
        path = Path(source).expanduser().resolve()
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise UserError(
            f"dataset.source: {readable(str(path))} does not exist; correct the path, or {remedy}"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, no home folder, a NUL
        raise UserError(
            f"dataset.source: {readable(source)} cannot be read ({error}); correct the path, or {remedy}"
        ) from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        # Read to its end, a pipe may never answer and a device never end.
        raise UserError(f"dataset.source: {readable(str(path))} is neither a folder nor a file; {remedy}")
    return path


def source_key(
    origin: Origin, source: str | None, download: bool, folder_identity: Callable[[Path], str]
) -> str:
    """What tells sources apart in a cache key, before anything is downloaded.

    Args:
        origin: The official archive.
        source: The user's path, if any.
        download: Whether the official archive may be fetched.
        folder_identity: The same for a source that is a folder: over the files that are read.

    Raises:
        UserError: The source is missing.
    """
    if source is None and download:
        return f"official-{origin.md5[:8]}"
    path = find_source(origin.name, source, origin.remedy())
    return folder_identity(path) if path.is_dir() else archive_identity(path)


def named_files_identity(*names: str) -> Callable[[Path], str]:
    """A `folder_identity` for data sets of a few large files, known by name wherever they lie."""

    def identity(folder: Path) -> str:
        tree = FolderTree(folder)
        found = (find(tree, name) for name in names)
        return large_files_identity(tree.absolute(path) for path in found if path is not None)

    return identity


def tell_named_files(writer: ArrayWriter, tree: FileTree, names: Collection[str]) -> None:
    """Give account of a source of which files with these names are read, and nothing else is needed."""
    read = {find(tree, name) for name in names}
    others = [(path, NOT_READ) for path in tree.files if path not in read]
    writer.account(account_of(len(read), (*tree.left_out, *others), {TOOL, NOT_READ}))


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
