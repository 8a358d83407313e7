"""What tells one state of a data set's files from another, cheaply: part of the prepared data's key.

Names, sizes and times alone can be fooled: renamed folders of equal files, bitmaps copied with their times.
So a sample of the contents counts too, the whole of a small file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from cmae_ablate.components.datasets.file_tree import FolderTree
from cmae_ablate.files import open_regular

_BLOCK = 4096
_WHOLE_IMAGE = 16 * 1024
_WHOLE_ARCHIVE = 64 * 2**20
_ARCHIVE_TAIL = 32 * 2**20
_ARCHIVE_BLOCKS = 256


def files_identity(tree: FolderTree, paths: Iterable[str], *context: str) -> str:
    """A hash over exactly these files of a folder: names, sizes, times and a sample of the contents.

    Sampled are the first, the middle and the last 4 KiB, or all of a file of at most 16 KiB.
    Links count as what they point to.

    Args:
        tree: The folder.
        paths: Those of its files that are read; their order has no part in it.
        context: What else makes a difference.
    """
    digest = hashlib.blake2b(repr(context).encode("utf-8", "surrogateescape"), digest_size=8)
    for path in sorted(paths):
        size, changed = tree.stats[path]
        digest.update(b"\n%s\0%d %d\0" % (os.fsencode(path), size, changed))
        digest.update(_sample(tree.absolute(path), _image_blocks(size)))
    return digest.hexdigest()


def large_files_identity(paths: Iterable[str]) -> str:
    """The same for a few large files: archives, or what is extracted from them.

    Read are all of a file of at most 64 MiB; else its last 32 MiB, where a zip has the checksums of all its
    members and a compressed tar archive that of the whole, and 256 blocks of 4 KiB, evenly spaced.
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(paths):
        found = os.stat(path)
        digest.update(b"\n%s\0%d %d\0" % (os.fsencode(path), found.st_size, found.st_mtime_ns))
        digest.update(_sample(path, _archive_blocks(found.st_size)))
    return digest.hexdigest()


def archive_identity(path: Path) -> str:
    """The same for one archive."""
    return large_files_identity([str(path)])


def _image_blocks(size: int) -> list[tuple[int, int]]:
    """Which bytes to read, as pairs of start and length."""
    if size <= _WHOLE_IMAGE:
        return [(0, size)]
    return [(0, _BLOCK), ((size - _BLOCK) // 2, _BLOCK), (size - _BLOCK, _BLOCK)]


def _archive_blocks(size: int) -> list[tuple[int, int]]:
    if size <= _WHOLE_ARCHIVE:
        return [(0, size)]
    spaced = [(size * number // _ARCHIVE_BLOCKS, _BLOCK) for number in range(_ARCHIVE_BLOCKS)]
    return [*spaced, (size - _ARCHIVE_TAIL, _ARCHIVE_TAIL)]


def _sample(path: str, blocks: list[tuple[int, int]]) -> bytes:
    """A hash of some of a file's bytes; of what went wrong where it cannot be read, as preparing will say."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        descriptor = open_regular(path, os.O_RDONLY)
        try:
            for start, length in blocks:
                digest.update(os.pread(descriptor, length, start))
        finally:
            os.close(descriptor)
    except OSError as error:
        digest.update(b"unreadable %d" % (error.errno or 0))
    return digest.digest()
