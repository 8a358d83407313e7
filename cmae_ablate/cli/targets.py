"""Files that a command is told to write: refused before any work where they could not be written after it."""

from __future__ import annotations

import os
from pathlib import Path

from cmae_ablate.errors import UserError


def check_target(path: Path, option: str = "--out") -> None:
    """Refuse a file that could not be written at the end, before any work.

    Args:
        path: The file, as typed.
        option: Which option names it.

    Raises:
        UserError: Its folder is missing or closed, or it is a folder itself.
    """
    if path.is_dir():
        raise UserError(f"{option} {path}: this is a folder; give the name of a file in it")
    if path.parent.exists() and not path.parent.is_dir():
        raise UserError(f"{option} {path}: {path.parent} is a file, no folder; choose another place")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{option} {path}: {path.parent} cannot be written to; choose another folder")


def check_picture(path: Path, option: str = "--out") -> None:
    """As `check_target`, of a picture: what is drawn is a PNG, and its name says so.

    Raises:
        UserError: It cannot be written, or its name does not end in .png.
    """
    check_target(path, option)
    if path.suffix.lower() != ".png":
        raise UserError(f"{option} {path}: pictures are written as PNG; let the name end in .png")
