from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cmae_ablate.components.datasets.folder import Folder
from cmae_ablate.components.datasets.source_identity import archive_identity
from tests.components.datasets.test_cifar import cifar10
from tests.components.datasets.test_folder import fill, load, save
from tests.components.datasets.test_tiny_imagenet import official, zipped

FIXTURES = (cifar10, official)


def key(source: Path) -> str:
    return Folder(source=str(source)).cache_key()


def keeping_time(path: Path, contents: bytes) -> None:
    """Other contents of the same size and time."""
    before = path.stat()
    assert len(contents) == before.st_size
    path.write_bytes(contents)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def bitmap(path: Path, grey: int, size: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (grey, grey, grey)).save(path, "BMP")


@pytest.mark.parametrize("linked", ["train", "train/cat", "train/cat/more"])
def test_images_added_behind_a_link_change_the_key(tmp_path: Path, linked: str) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    place, elsewhere = root / linked, tmp_path / "elsewhere"
    if place.exists():
        shutil.move(place, elsewhere)
    else:
        save(elsewhere / "first.png")
    place.symlink_to(elsewhere, target_is_directory=True)
    before, count = key(root), len(load(root, tmp_path / "cache").train)
    save((elsewhere / "cat" if linked == "train" else elsewhere) / "added.png")
    assert key(root) != before
    assert len(load(root, tmp_path / "cache").train) == count + 1


def test_equal_sizes_and_times_do_not_hide_other_pixels(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    bitmap(root / "train" / "cat" / "a.bmp", 10)
    before = key(root)
    bitmap(tmp_path / "other.bmp", 200)
    keeping_time(root / "train" / "cat" / "a.bmp", (tmp_path / "other.bmp").read_bytes())
    assert key(root) != before


@pytest.mark.parametrize("place", [0, 200_000 // 2, 200_000 - 1])
def test_a_byte_changed_at_an_end_or_in_the_middle_of_a_large_image_changes_the_key(
    tmp_path: Path, place: int
) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    image = root / "train" / "cat" / "large.bmp"
    image.write_bytes(bytes(200_000))
    before = key(root)
    contents = bytearray(200_000)
    contents[place] = 1
    keeping_time(image, bytes(contents))
    assert key(root) != before


def test_class_folders_that_change_names_change_the_labels(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for grey, name in ((10, "cat"), (200, "dog")):
        for number in range(12):
            bitmap(root / "train" / name / f"{number}.bmp", grey + number)
    for path in root.rglob("*.bmp"):
        os.utime(path, (1e9, 1e9))
    before = load(root, tmp_path / "cache")
    (root / "train" / "cat").rename(root / "train" / "x")
    (root / "train" / "dog").rename(root / "train" / "cat")
    (root / "train" / "x").rename(root / "train" / "dog")
    after = load(root, tmp_path / "cache")
    assert (before.train.images[before.train.labels == 0] < 100).all()
    assert (after.train.images[after.train.labels == 0] > 100).all()


def test_files_that_are_not_read_leave_the_key_as_it_was(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    before = key(root)
    (root / "train" / "cat" / "Thumbs.db").write_bytes(b"thumbnails")
    (root / ".DS_Store").write_bytes(b"icons")
    assert key(root) == before


def test_a_newly_left_out_image_changes_the_key_so_that_it_is_told(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    assert load(root, tmp_path / "cache").notices == ()
    (root / "train" / "cat" / "photo.heic").write_bytes(b"of a telephone")
    assert "photo.heic" in load(root, tmp_path / "cache").notices[0]


def test_a_byte_within_an_archive_changes_the_key(official: Path) -> None:
    archive = zipped(official)
    before = archive_identity(archive)
    contents = bytearray(archive.read_bytes())
    contents[len(contents) // 3] ^= 1
    keeping_time(archive, bytes(contents))
    assert archive_identity(archive) != before


def relabelled(root: Path) -> None:
    path = root / "data_batch_3"
    contents = path.read_bytes()
    at = contents.rfind(b"K\x05")  # a label 5, as pickle writes it
    keeping_time(path, contents[:at] + b"K\x06" + contents[at + 2 :])


def annotated_otherwise(root: Path) -> None:
    path = root / "val" / "val_annotations.txt"
    text = path.read_bytes()
    keeping_time(path, text.replace(b"n01", b"n0x").replace(b"n02", b"n01").replace(b"n0x", b"n02"))


@pytest.mark.parametrize(
    ("name", "change"), [("cifar10", relabelled), ("official", annotated_otherwise)], ids=["cifar", "tiny"]
)
def test_labels_changed_at_equal_size_and_time_change_the_key_of_extracted_archives(
    request: pytest.FixtureRequest, name: str, change: Callable[[Path], None]
) -> None:
    from cmae_ablate.components.datasets.cifar import Cifar10
    from cmae_ablate.components.datasets.tiny_imagenet import TinyImageNet

    root: Path = request.getfixturevalue(name)
    dataset = Cifar10(source=str(root)) if name == "cifar10" else TinyImageNet(source=str(root))
    before = dataset.cache_key()
    change(root)
    assert dataset.cache_key() != before


def test_of_a_very_large_file_only_a_sample_is_read(tmp_path: Path) -> None:
    # A sparse terabyte: read whole, this test would take hours.
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    with (root / "train" / "cat" / "huge.bmp").open("wb") as file:
        file.truncate(2**40)
    assert key(root) == key(root)
    assert archive_identity(root / "train" / "cat" / "huge.bmp")
