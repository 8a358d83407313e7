"""Files that a command is told to write: refused before any work where they could not be written after it."""

from __future__ import annotations

import os
from pathlib import Path

from cmae_ablate.errors import UserError

RESULT = "result.json"
"""In the folder of a finished training."""


def check_target(path: Path, option: str = "--out", *, source: Path | None = None) -> bool:
    """Refuse a file that could not be written at the end, or that must not be replaced, before any work.

    Args:
        path: The file, as typed.
        option: Which option names it.
        source: What the command reads.

    Returns:
        Whether there is a file, which is replaced.

    Raises:
        UserError: Its folder is missing or closed, or it is a folder itself, no regular file, what is read,
            or of a finished training.
    """
    if path.is_dir():
        raise UserError(f"{option} {path}: this is a folder; give the name of a file in it")
    if path.exists() and not path.is_file():
        raise UserError(f"{option} {path}: this is a pipe or a device; give the name of a file")
    if path.exists() and source is not None and source.exists() and path.samefile(source):
        raise UserError(f"{option} {path}: this is what the command reads; give another name")
    if path.exists() and (path.parent / RESULT).is_file():
        raise UserError(
            f"{option} {path}: this belongs to a finished training, whose files stay as they are; give "
            "another name"
        )
    if path.parent.exists() and not path.parent.is_dir():
        raise UserError(f"{option} {path}: {path.parent} is a file, no folder; choose another place")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{option} {path}: {path.parent} cannot be written to; choose another folder")
    return path.exists()


def written(path: Path, is_replaced: bool, verb: str = "written") -> str:
    """What to say of a file that was written or drawn: also whether another one was there."""
    return f"{verb}: {path}" + (", in place of the file that was there" if is_replaced else "")


def check_picture(path: Path, option: str = "--out") -> bool:
    """As `check_target`, of a picture: what is drawn is a PNG, and its name says so.

    Raises:
        UserError: It cannot be written, or its name does not end in .png.
    """
    is_replaced = check_target(path, option)
    if path.suffix.lower() != ".png":
        raise UserError(f"{option} {path}: pictures are written as PNG; let the name end in .png")
    return is_replaced
