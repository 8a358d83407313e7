"""Copies of Tiny-ImageNet as people's systems and editors leave them."""

from __future__ import annotations

import codecs
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cmae_ablate.components.datasets.folder import Folder
from cmae_ablate.data.arrays import prepare
from tests.components.datasets.test_tiny_imagenet import (
    CLASSES,
    PER_CLASS,
    jpeg,
    load,
    official,
    refusal,
    zipped,
)

FIXTURES = (official,)
LISTS = ("wnids.txt", "words.txt", "val_annotations.txt", "n01_boxes.txt")


def blank_last_lines(text: bytes) -> bytes:
    return text + b"\n \n\t\n"


def spaces_at_ends(text: bytes) -> bytes:
    return b"".join(line + b"  \n" for line in text.splitlines())


def spaces_for_tabs(text: bytes) -> bytes:
    return text.replace(b"\t", b"   ")


def carriage_returns(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


def byte_order_mark(text: bytes) -> bytes:
    return codecs.BOM_UTF8 + text


def utf16(text: bytes) -> bytes:
    return text.decode().encode("utf-16")


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "edit", [blank_last_lines, spaces_at_ends, spaces_for_tabs, carriage_returns, byte_order_mark, utf16]
)
def test_lists_as_editors_leave_them_say_the_same(
    official: Path, tmp_path: Path, name: str, edit: Callable[[bytes], bytes]
) -> None:
    before = load(official, tmp_path / "a")
    path = next(official.rglob(name))
    path.write_bytes(edit(path.read_bytes()))
    assert load(official, tmp_path / "b").digest == before.digest


def test_latin_1_words_are_read(official: Path, tmp_path: Path) -> None:
    (official / "words.txt").write_bytes("n01\tcafé\nn02\tnaïf, x\n".encode("latin-1"))
    assert load(official, tmp_path / "cache").class_names == ("café", "naïf", "n03")


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_files_of_tools_are_no_images(official: Path, tmp_path: Path, packed: bool) -> None:
    before = load(official, tmp_path / "a")
    for folder in (official, *official.rglob("images")):
        (folder / ".DS_Store").write_bytes(b"icons")
        (folder / "._n01_0.JPEG").write_bytes(b"resource fork")
        (folder / "Thumbs.db").write_bytes(b"thumbnails")
    (official / "__MACOSX").mkdir()
    (official / "__MACOSX" / "wnids.txt").write_bytes(b"not this one")
    data = load(zipped(official) if packed else official, tmp_path / "b")
    assert data.digest == before.digest
    assert len(data.notices) == len(before.notices)


def test_every_file_is_used_or_accounted_for(official: Path, tmp_path: Path) -> None:
    (official / "test" / "images").mkdir(parents=True)
    (official / "test" / "images" / "test_0.JPEG").write_bytes(jpeg((1, 2, 3)))
    (official / "val" / "images" / "val_77.JPEG").write_bytes(jpeg((1, 2, 4)))
    (official / "train" / "n55" / "images").mkdir(parents=True)
    (official / "train" / "n55" / "images" / "n55_0.JPEG").write_bytes(jpeg((1, 2, 5)))
    (official / "train" / "n01" / "images" / "notes.txt").write_text("a note")
    (official / "README").write_text("read me")
    data = load(official, tmp_path / "cache")
    assert data.account is not None
    images = len(CLASSES) * (PER_CLASS + 1)
    lists = 3 + len(CLASSES)
    assert (data.account.used, data.account.found) == (images + lists, images + lists + 5)
    examples = {
        entry.example.removeprefix("tiny-imagenet-200/"): entry.told for entry in data.account.left_out
    }
    assert examples == {
        "test/images/test_0.JPEG": False,
        "val/images/val_77.JPEG": True,
        "train/n55/images/n55_0.JPEG": True,
        "train/n01/images/notes.txt": True,
        "README": False,
    }
    assert all(example in data.notices[0] for example, told in examples.items() if told)


def test_a_validation_image_of_two_classes_is_refused(official: Path, tmp_path: Path) -> None:
    path = official / "val" / "val_annotations.txt"
    path.write_text(path.read_text() + "val_0.JPEG\tn02\t0\t0\t9\t9\n")
    assert "gives val_0.JPEG two classes" in refusal(official, tmp_path / "cache")


def test_a_validation_image_listed_twice_is_used_once(official: Path, tmp_path: Path) -> None:
    path = official / "val" / "val_annotations.txt"
    path.write_text(path.read_text() + "val_0.JPEG\tn01\t4\t8\t11\t23\n")
    assert len(load(official, tmp_path / "cache").test) == 3


def test_an_annotation_without_a_class_is_named(official: Path, tmp_path: Path) -> None:
    path = official / "val" / "val_annotations.txt"
    path.write_text(path.read_text() + "val_9.JPEG\n")
    assert "entry 4, 'val_9.JPEG', names no class" in refusal(official, tmp_path / "cache")


def test_a_number_of_six_thousand_digits_is_an_unknown_box(official: Path, tmp_path: Path) -> None:
    (official / "train" / "n01" / "n01_boxes.txt").write_text(f"n01_0.JPEG\t{'9' * 6000}\t0\t10\t63\n")
    data = load(official, tmp_path / "cache")
    assert np.isnan(data.train.boxes[data.train.labels == 0]).all()


def reorganised(official: Path) -> Path:
    """As a well-known script leaves it: validation images in class folders, no list of them."""
    for line in (official / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid, *_ = line.split("\t")
        (official / "val" / wnid).mkdir(exist_ok=True)
        shutil.move(official / "val" / "images" / name, official / "val" / wnid / name)
    (official / "val" / "images").rmdir()
    (official / "val" / "val_annotations.txt").unlink()
    (official / "test" / "images").mkdir(parents=True)
    (official / "test" / "images" / "test_0.JPEG").write_bytes(jpeg((1, 2, 3)))
    return official


def test_a_reorganised_copy_is_refused_with_the_data_set_that_reads_it(
    official: Path, tmp_path: Path
) -> None:
    message = refusal(reorganised(official), tmp_path / "cache")
    assert "dataset.name=folder" in message and "dataset.image_size=64" in message
    data = prepare(Folder(source=str(official)), tmp_path / "folder", notice=lambda text: None)
    assert data.class_names == ("n01", "n02", "n03")
    assert (len(data.train) + len(data.validation), len(data.test)) == (3 * PER_CLASS, 3)


def test_an_official_copy_is_not_sent_to_another_data_set(official: Path, tmp_path: Path) -> None:
    (official / "words.txt").unlink()
    assert "folder" not in refusal(official, tmp_path / "cache").replace("class folders", "")
