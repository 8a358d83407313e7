from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from cmae_ablate.components.datasets.file_tree import (
    ARCHIVED_LINK,
    READ_ERRORS,
    SPECIAL,
    FolderTree,
    open_tree,
    read_required,
)
from cmae_ablate.components.datasets.tiny_imagenet import TinyImageNet
from cmae_ablate.errors import UserError
from tests.components.datasets.test_tiny_imagenet import official, refusal, zipped

FIXTURES = (official,)
LARGE = 64 * 2**20


def bomb(archive: Path, name: str, size: int = LARGE, method: int = zipfile.ZIP_DEFLATED) -> None:
    """Add a member of zeros, which packs to a thousandth."""
    with zipfile.ZipFile(archive, "a", method) as opened:
        opened.writestr(name, bytes(size))


def test_a_member_that_unpacks_to_more_than_an_image_may_have_is_refused(
    official: Path, tmp_path: Path
) -> None:
    archive = zipped(official)
    bomb(archive, "tiny-imagenet-200/train/n01/images/n01_bomb.JPEG")
    assert archive.stat().st_size < 200_000
    message = refusal(archive, tmp_path / "cache")
    assert (
        "n01_bomb.JPEG: its 67,108,864 bytes are more than the 1,048,576 that such a file may have" in message
    )


def test_a_list_that_unpacks_to_more_than_a_list_may_have_is_refused(official: Path, tmp_path: Path) -> None:
    (official / "words.txt").unlink()
    archive = zipped(official)
    bomb(archive, "tiny-imagenet-200/words.txt", LARGE + 1)
    message = refusal(archive, tmp_path / "cache")
    assert "words.txt" in message and "are more than" in message


def test_a_member_that_lies_about_its_size_is_not_unpacked_beyond_it(tmp_path: Path) -> None:
    archive = tmp_path / "lies.zip"
    bomb(archive, "a.JPEG")
    contents = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = contents.index(signature) + offset
        contents[at : at + 4] = struct.pack("<I", 1000)
    archive.write_bytes(contents)
    with open_tree(archive) as tree, pytest.raises(READ_ERRORS, match="CRC"):
        tree.read("a.JPEG", 2000)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_packed_by_a_method_that_unpacks_in_one_go_are_not_read(tmp_path: Path, method: int) -> None:
    archive = tmp_path / "odd.zip"
    bomb(archive, "a.JPEG", 1000, method)
    with open_tree(archive) as tree, pytest.raises(READ_ERRORS, match="method"):
        tree.read("a.JPEG", 2000)


def test_a_tar_archive_of_enormous_contents_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    # Only the header says so: unpacked to be listed, such a member would take hours.
    header = tarfile.TarInfo("data_batch_1")
    header.size = 2**45
    (tmp_path / "bomb.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(UserError, match="are more than"), open_tree(tmp_path / "bomb.tar"):
        pass


def test_links_and_devices_in_a_tar_archive_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as opened:
        for name, kind in (
            ("link", tarfile.SYMTYPE),
            ("device", tarfile.CHRTYPE),
            ("pipe", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            opened.addfile(member)
        member = tarfile.TarInfo("file")
        member.size = 3
        opened.addfile(member, io.BytesIO(b"abc"))
    with open_tree(tmp_path / "a.tar") as tree:
        assert tree.files == ("file",)
        assert tree.left_out == (("device", SPECIAL), ("link", ARCHIVED_LINK), ("pipe", SPECIAL))
        with pytest.raises(READ_ERRORS, match="are more than"):
            tree.read("file", 2)


def test_a_pipe_put_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    tree = FolderTree(tmp_path)
    (tmp_path / "a.png").unlink()
    os.mkfifo(tmp_path / "a.png")
    assert stat.S_ISFIFO((tmp_path / "a.png").stat().st_mode)
    with pytest.raises(READ_ERRORS, match="no regular file"):
        tree.read("a.png", 100)


def test_a_large_file_of_a_folder_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "wnids.txt").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match=r"wnids\.txt .* is damaged \(its 1,099,511,627,776 bytes are more"):
        read_required(FolderTree(tmp_path), "wnids.txt", tmp_path, "download it", 1000)


def test_a_folder_of_lists_that_are_pipes_is_refused_as_incomplete(official: Path) -> None:
    (official / "wnids.txt").unlink()
    os.mkfifo(official / "wnids.txt")
    with pytest.raises(UserError, match=r"has no file 'wnids\.txt'"):
        TinyImageNet(source=str(official)).cache_key()


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_rubbish_in_an_archive_is_one_error(tmp_path: Path, suffix: str) -> None:
    start = {
        "zip": b"PK\x03\x04",
        "tar": b"a" * 300,
        "tar.gz": b"\x1f\x8b\x08",
        "tar.xz": b"\xfd7zXZ\x00",
        "tar.bz2": b"BZh9",
    }
    (tmp_path / f"a.{suffix}").write_bytes(start[suffix] + bytes(range(256)) * 8)
    with (
        pytest.raises(UserError, match="no readable zip or tar archive"),
        open_tree(tmp_path / f"a.{suffix}"),
    ):
        pass


@pytest.mark.parametrize("form", ["gz", "bz2", "xz", ""])
def test_a_tar_archive_is_read_however_it_is_compressed(form: str, tmp_path: Path) -> None:
    path = tmp_path / "data.tar"
    with tarfile.open(path, f"w:{form}") as archive:
        member = tarfile.TarInfo("a/b.txt")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    with open_tree(path) as tree:
        assert tree.files == ("a/b.txt",)
        assert tree.read("a/b.txt", 3) == b"abc"


def test_zeros_without_end_are_an_empty_archive_at_once(tmp_path: Path) -> None:
    path = tmp_path / "zeros.tar"
    with path.open("wb") as file:
        file.truncate(2**38)  # a hole; skipped by the megabyte, it would take half an hour
    with open_tree(path) as tree:
        assert tree.files == ()
