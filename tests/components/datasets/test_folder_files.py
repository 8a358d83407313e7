from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.components.datasets.file_tree import FolderTree
from cmae_ablate.components.datasets.folder_files import (
    FOREIGN,
    MISNAMED,
    NO_IMAGE,
    THUMBNAILS,
    no_image_of_its_class,
)


@pytest.mark.parametrize(
    ("below", "contents", "reason"),
    [
        ("a.png", b"anything: decoding will say", None),
        ("deep/er/a.JPG", b"anything", None),
        ("a.heic", b"anything", FOREIGN),
        ("a.txt", b"a note", NO_IMAGE),
        ("a.jpeg_large", b"\xff\xd8\xff\xe0 and so on", MISNAMED),
        ("a", b"\x89PNG\r\n\x1a\n and so on", MISNAMED),
        ("a", b"", NO_IMAGE),
        ("thumbs/a.png", b"anything", THUMBNAILS),
        ("thumbs/index.txt", b"anything", NO_IMAGE),
    ],
)
def test_the_reason_follows_name_and_first_bytes(
    tmp_path: Path, below: str, contents: bytes, reason: str | None
) -> None:
    path = tmp_path / "train" / "cat" / below
    path.parent.mkdir(parents=True)
    path.write_bytes(contents)
    assert no_image_of_its_class(FolderTree(tmp_path), f"train/cat/{below}", below) == reason
