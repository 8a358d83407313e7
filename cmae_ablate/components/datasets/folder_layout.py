"""What a folder of images holds: parts, classes and their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cmae_ablate.errors import UserError

REMEDY = (
    "name a folder that holds train/<class>/<image>, better also validation/ and test/ alike; "
    "cmae-ablate data prepare folder --source PATH"
)
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_PARTS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}

Classes = Mapping[str, Mapping[str, list[str]]]
"""Image paths by part (`train`, ...) and class name."""


def read_classes(source: Path) -> Classes:
    """List the images below each class folder, at any depth, in sorted order.

    Raises:
        UserError: There are no class folders.
    """
    folders = {child.name.lower(): child for child in _subfolders(source)}
    parts = {
        part: next((folders[name] for name in names if name in folders), None)
        for part, names in _PARTS.items()
    }
    if parts["train"] is None:
        if parts["validation"] or parts["test"]:
            raise UserError(f"dataset.source: {source} has a part to test on but no train/; {REMEDY}")
        parts["train"] = source
    found = {
        part: {child.name: _images(source, child) for child in _subfolders(folder)}
        for part, folder in parts.items()
        if folder is not None
    }
    # An empty validation/ or test/ says no more than none at all.
    return {part: classes for part, classes in found.items() if classes or part == "train"}


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith((".", "__"))
    )


def _images(source: Path, folder: Path) -> list[str]:
    return sorted(
        path.relative_to(source).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS and path.is_file() and not path.name.startswith(".")
    )


def check_classes(source: Path, parts: Classes) -> tuple[str, ...]:
    """The class names, sorted.

    Raises:
        UserError: Fewer than two classes, a class without images, or classes that only a later part has.
    """
    train = parts["train"]
    if not any(train.values()):
        raise UserError(
            f"dataset.source: no images ({', '.join(EXTENSIONS)}) in class folders of {source}; {REMEDY}"
        )
    if len(train) < 2:
        raise UserError(f"dataset.source: {source} has only the class '{next(iter(train))}'; {REMEDY}")
    for part, classes in parts.items():
        empty = [name for name, paths in classes.items() if not paths]
        if empty:
            raise UserError(
                f"dataset.source: {source}: {len(empty)} class(es) of {part} hold no images: {_some(empty)}; "
                f"add images ({', '.join(EXTENSIONS)}) or delete the folder(s)"
            )
        unknown = sorted(set(classes) - set(train))
        if unknown:
            raise UserError(
                f"dataset.source: {source}: {part} has class(es) that train lacks: {_some(unknown)}; "
                "rename or delete the folder(s), or add training images"
            )
    return tuple(sorted(train))


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
