"""Files of a folder, a zip or a tar archive, read one by one and never extracted.

Members are only ever read into memory, and only up to a size that the reader names, so that an archive from
a stranger can neither write anywhere nor fill the memory.
"""

from __future__ import annotations

import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Protocol

from cmae_ablate.components.datasets.tool_files import tool_reason
from cmae_ablate.errors import UserError, readable
from cmae_ablate.files import check_regular, open_to_read, read_regular

READ_ERRORS = (
    *(OSError, LookupError, EOFError, RuntimeError, ValueError, OverflowError, struct.error),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)
"""What a read of a damaged, encrypted or oversized member may raise."""
DANGLING = "link(s) that lead nowhere"
LOOP = "link(s) to a folder above themselves"
SPECIAL = "pipe(s), devices or other things that are no files"
ARCHIVED_LINK = "link(s) inside the archive"
_MAX_ARCHIVE = 2**39
_MAX_UNPACKED = 16 * 2**30  # of a tar archive, which is unpacked as a whole to be listed


class FileTree(Protocol):
    """Read access by relative path, with `/` between the parts.

    Attributes:
        files: Everything that can be read and is no tool's, sorted. Bytes of a name that are not UTF-8 are
            lone surrogates, as the standard library has them.
        left_out: Path and reason of everything else.
    """

    files: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]

    def read(self, path: str, limit: int) -> bytes:
        """The contents of a file; one of `READ_ERRORS` where they are damaged or more than `limit` bytes."""
        ...


class FolderTree:
    """The files below a folder, links followed.

    Attributes:
        folders: Relative paths of all folders that are no tool's, sorted.
        stats: Of each file in `files`: size in bytes and time of change in nanoseconds.

    Raises:
        UserError: A folder cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.stats: dict[str, tuple[int, int]] = {}
        self._folders: list[str] = []
        self._left_out: list[tuple[str, str]] = []
        found = root.stat()
        self._walk("", ((found.st_dev, found.st_ino),))
        self.files = tuple(sorted(self.stats))
        self.folders = tuple(sorted(self._folders))
        self.left_out = tuple(sorted(self._left_out))

    def absolute(self, path: str) -> str:
        """Where a file of the tree lies."""
        return os.path.join(self._root, path)

    def read(self, path: str, limit: int) -> bytes:
        """The contents of a file."""
        return read_regular(self.absolute(path), limit)

    def _walk(self, folder: str, above: tuple[tuple[int, int], ...]) -> None:
        """List a folder; `above` are it and those around it, so that no link is followed in circles."""
        try:
            with os.scandir(self.absolute(folder)) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(
                f"dataset.source: {readable(self.absolute(folder))} cannot be read ({error.strerror}); "
                "make it readable, or move it away"
            ) from error
        for entry in listed:
            path = f"{folder}/{entry.name}" if folder else entry.name
            try:
                found = entry.stat()
            except OSError:
                self._left_out.append((path, tool_reason(path) or DANGLING))
                continue
            if stat.S_ISDIR(found.st_mode):
                identity = (found.st_dev, found.st_ino)
                if identity in above:
                    self._left_out.append((path, LOOP))
                    continue
                if tool_reason(f"{path}/file") is None:
                    self._folders.append(path)
                self._walk(path, (*above, identity))
            elif reason := tool_reason(path) or (None if stat.S_ISREG(found.st_mode) else SPECIAL):
                self._left_out.append((path, reason))
            else:
                self.stats[path] = found.st_size, found.st_mtime_ns


class ZipTree:
    """The members of a zip archive. May be read by several threads."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._zip = archive
        members = (member.filename for member in archive.infolist() if not member.is_dir())
        self.files, self.left_out = _sorted_out(members)

    def read(self, path: str, limit: int) -> bytes:
        """The contents of a member, checked against its CRC."""
        member = self._zip.getinfo(path)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # The others unpack in one go, however large the result.
            raise ValueError("it is compressed by a method that is not read")
        _check_size(member.file_size, limit)
        with self._zip.open(member) as file:
            # With a number: without one, members that lie about their size are unpacked whole.
            return file.read(member.file_size + 1)


class TarTree:
    """The members of a tar archive, compressed or not. Meant for few and large members."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._tar = archive
        self._lock = Lock()
        names: list[str] = []
        others: list[tuple[str, str]] = []
        for member in archive:
            # Before the next header is looked for, which unpacks everything up to it.
            _check_size(member.offset_data + member.size, _MAX_UNPACKED)
            if member.isreg():
                names.append(member.name)
            elif not member.isdir():
                linked = member.issym() or member.islnk()
                others.append((member.name, ARCHIVED_LINK if linked else SPECIAL))
        self.files, left_out = _sorted_out(names)
        self.left_out = tuple(sorted((*left_out, *others)))

    def read(self, path: str, limit: int) -> bytes:
        """The contents of a member."""
        with self._lock:
            member = self._tar.getmember(path)
            _check_size(member.size, limit)
            file = self._tar.extractfile(member)
            assert file is not None, f"{path} is no file"
            return file.read()


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"its {size:,} bytes are more than the {limit:,} that such a file may have")


def _sorted_out(names: Iterator[str] | list[str]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Members to read, and those of tools with the reason; a name that stands twice counts once."""
    reasons = {name: tool_reason(name) for name in names}
    files = tuple(sorted(name for name, reason in reasons.items() if reason is None))
    return files, tuple(sorted((name, reason) for name, reason in reasons.items() if reason))


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
    return TarTree(opened.enter_context(_open_tar(path)))


def _open_tar(path: Path) -> tarfile.TarFile:
    """By the bytes it begins with: tried as xz, zeros alone would be skipped to their end, however many."""
    check_regular(path, _MAX_ARCHIVE)
    with open_to_read(path) as file:
        beginning = file.read(6)
    if beginning.startswith(b"\x1f\x8b"):
        return tarfile.open(path, "r:gz")
    if beginning.startswith(b"BZh"):
        return tarfile.open(path, "r:bz2")
    if beginning.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        return tarfile.open(path, "r:xz")
    return tarfile.open(path, "r:")


def find(tree: FileTree, name: str) -> str | None:
    """The path of the file called `name` that lies nearest to the root; None where there is none."""
    found = [path for path in tree.files if path.rsplit("/", 1)[-1] == name]
    return min(found, key=lambda path: (path.count("/"), path)) if found else None


def read_required(tree: FileTree, name: str, source: Path, remedy: str, limit: int) -> bytes:
    """The contents of the file called `name`, wherever it lies.

    Raises:
        UserError: It is missing, damaged, or has more than `limit` bytes.
    """
    path = find(tree, name)
    if path is None:
        raise UserError(f"dataset.source: {source} has no file '{name}'; {remedy}")
    try:
        return tree.read(path, limit)
    except READ_ERRORS as error:
        raise UserError(
            f"dataset.source: {readable(path)} in {source} is damaged ({error}); {remedy}"
        ) from error
