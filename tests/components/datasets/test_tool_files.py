from __future__ import annotations

import pytest

from cmae_ablate.components.datasets.tool_files import HIDDEN, TOOL, has_image_name, tool_reason


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("train/cat/a.png", None),
        ("train/__cat__/a.png", None),
        ("Thumbs.db", TOOL),
        ("a/THUMBS.DB", TOOL),
        ("a/.DS_Store", TOOL),
        ("a/._b.png", TOOL),
        ("a/@eaDir/b.png", TOOL),
        (".git/b.png", TOOL),
        ("a/.Trash-1000/files/b.png", TOOL),
        ("a/.gitkeep", TOOL),
        ("a/.b.png", HIDDEN),
        (".a/b/c/d.png", HIDDEN),
        (".a/b/c/d.txt", TOOL),
    ],
)
def test_hidden_images_are_told_from_files_of_tools(path: str, reason: str | None) -> None:
    assert tool_reason(path) == reason


def test_names_of_images_end_as_those_of_decoded_formats() -> None:
    assert all(has_image_name(f"a/b.c{ending}") for ending in (".jpg", ".JFIF", ".Tiff", ".pnm"))
    assert not any(has_image_name(name) for name in ("jpg", "a.svg", "a.jpg_large", ".png", "a.eps"))
