"""Files of a folder, a zip or a tar archive, read one by one and never extracted.

Members are only ever read into memory, so an archive from a stranger can write nowhere.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Protocol

from cmae_ablate.errors import UserError

READ_ERRORS = (OSError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error)
"""What a read of a damaged or encrypted member may raise."""


class FileTree(Protocol):
    """Read access by relative path, with `/` between the parts."""

    files: tuple[str, ...]

    def read(self, path: str) -> bytes:
        """The contents of a file; one of `READ_ERRORS` where they are damaged."""
        ...


class FolderTree:
    """The files below a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.files = tuple(
            sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        )

    def read(self, path: str) -> bytes:
        """The contents of a file."""
        return (self._root / path).read_bytes()


class ZipTree:
    """The members of a zip archive. May be read by several threads."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._zip = archive
        self.files = tuple(sorted(member.filename for member in archive.infolist() if not member.is_dir()))

    def read(self, path: str) -> bytes:
        """The contents of a member, checked against its CRC."""
        return self._zip.read(path)


class TarTree:
    """The members of a tar archive, compressed or not. Meant for few and large members."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._tar = archive
        self._lock = Lock()
        self.files = tuple(sorted(member.name for member in archive.getmembers() if member.isfile()))

    def read(self, path: str) -> bytes:
        """The contents of a member."""
        with self._lock:
            file = self._tar.extractfile(path)
            assert file is not None, f"{path} is no file"
            return file.read()


@contextmanager
def open_tree(path: Path) -> Iterator[FileTree]:
    """Open a folder or an archive for as long as the context lasts.

    Raises:
        UserError: It is neither, or it is damaged.
    """
    with ExitStack() as opened:
        try:
            tree = _tree(path, opened)
        except READ_ERRORS as error:
            raise UserError(
                f"dataset.source: {path} is no folder and no readable zip or tar archive ({error}); "
                "download it again, or extract it and name the folder"
            ) from error
        yield tree


def _tree(path: Path, opened: ExitStack) -> FileTree:
    if path.is_dir():
        return FolderTree(path)
    if zipfile.is_zipfile(path):
        return ZipTree(opened.enter_context(zipfile.ZipFile(path)))
    return TarTree(opened.enter_context(tarfile.open(path)))


def find(tree: FileTree, name: str) -> str | None:
    """The path of the file called `name` that lies nearest to the root; None where there is none."""
    found = [path for path in tree.files if path.rsplit("/", 1)[-1] == name]
    return min(found, key=lambda path: (path.count("/"), path)) if found else None


def read_required(tree: FileTree, name: str, source: Path, remedy: str) -> bytes:
    """The contents of the file called `name`, wherever it lies.

    Raises:
        UserError: It is missing or damaged.
    """
    path = find(tree, name)
    if path is None:
        raise UserError(f"dataset.source: {source} has no file '{name}'; {remedy}")
    try:
        return tree.read(path)
    except READ_ERRORS as error:
        raise UserError(f"dataset.source: {path} in {source} is damaged ({error}); {remedy}") from error
