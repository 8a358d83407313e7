from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cmae_ablate.cli.prepare import prepare_data, show_data
from tests.components.datasets.test_folder import fill, save


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a note, a link that leads nowhere and thumbnails in it."""
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tmp_path / "cache"))
    root = fill(
        tmp_path / "photos", {"train": 20, "test": 2}, tuple(f"[c{number:02}]" for number in range(12))
    )
    (root / "train" / "[c00]" / "note.txt").write_text("a note")
    (root / "train" / "[c00]" / "gone.png").symlink_to("nowhere")
    (root / "train" / "[c00]" / "Thumbs.db").write_bytes(b"thumbnails")
    return root


def said(photos: Path, picture: Path | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=60)
    if picture is None:
        prepare_data("folder", str(photos), ["image_size=16"], False, console)
    else:
        show_data("folder", str(photos), ["image_size=16"], picture, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_preparing_says_what_was_found_used_and_left_out_each_time(photos: Path, tmp_path: Path) -> None:
    first = said(photos)
    again, shown = said(photos), said(photos, tmp_path / "data.png")
    for line in (
        "files: 267 found, 264 used, 3 left out",
        "  1 file(s) in class folders that are no images, such as train/[c00]/note.txt",
        "  1 hidden file(s), or files of a system or tool, such as train/[c00]/Thumbs.db",
        "  1 link(s) that lead nowhere, such as train/[c00]/gone.png",
    ):
        assert line in first and line in again and line in shown
    notes = [line for line in first if line.startswith("note: ")]
    assert len(notes) == 2 and "gone.png" in notes[0] and "Thumbs.db" not in notes[0]
    assert [line for line in again if line.startswith("note: ")] == notes


def test_preparing_counts_the_classes_and_names_the_first(photos: Path) -> None:
    names = ", ".join(f"[c{number:02}]" for number in range(10))
    assert f"12 classes: {names}, ... and 2 more" in said(photos)


def test_leaks_are_told_by_file_names(photos: Path) -> None:
    source, copy = photos / "train" / "[c03]" / "07.png", photos / "test" / "[c05]" / "01.png"
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    picture = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)
    picture.save(source)
    picture.save(copy.with_suffix(".jpg"), quality=60)
    os.unlink(copy)
    (note,) = [line for line in said(photos) if "nearly" in line]
    assert "1 of 24 test images are, saved again or nearly, also" in note
    assert "such as test/[c05]/01.jpg (train/[c03]/07.png)" in note


def test_another_image_is_noticed(photos: Path) -> None:
    said(photos)
    save(photos / "train" / "[c00]" / "new.png")
    assert "files: 268 found, 265 used, 3 left out" in said(photos)
