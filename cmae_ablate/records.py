"""Records of finished work: JSON that carries its own SHA-256, and what becomes of a file that is damaged."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from cmae_ablate.errors import UserError
from cmae_ablate.files import open_to_read, read_regular

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
SEAL = "record_sha256"
"""The key that holds the digest of all others."""
MAX_BYTES = 64 * 2**20
"""Of a record; the longest history of a pretraining takes a few megabytes."""


class DamagedError(Exception):
    """A file is not what was written: which one, and what is wrong with it.

    Args:
        path: The file.
        reason: What is wrong, as the end of a sentence that begins with the file's name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: damaged ({reason})")
        self.path = path
        self.reason = reason


def sealed(content: Mapping[str, Any]) -> bytes:
    """The record as JSON, with the digest by which `read_record` knows it again."""
    return json.dumps({**content, SEAL: _digest(content)}, indent=1).encode()


def read_record(path: Path, *, needs_seal: bool = False) -> dict[str, Any]:
    """Read a record, without its seal.

    Args:
        path: The file.
        needs_seal: Whether one without a seal is damaged; else it is read as it is, being by an earlier
            version of this package.

    Raises:
        FileNotFoundError: There is none.
        DamagedError: It cannot be read, is no JSON mapping, or differs from what was sealed.
    """
    try:
        content = json.loads(read_regular(path, MAX_BYTES))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # text that is not UTF-8, and numbers of 6,000 digits, too
        raise DamagedError(path, "no JSON") from error
    if not isinstance(content, dict):
        raise DamagedError(path, "no JSON mapping")
    seal = content.pop(SEAL, None)
    if seal is None and needs_seal:
        raise DamagedError(path, "it has no SHA-256 of its own")
    if seal is not None and seal != _digest(content):
        raise DamagedError(path, "its content differs from its SHA-256")
    return content


def set_aside(path: Path) -> Path:
    """Rename a file or folder that is not to be used but not lost either; the new place.

    Raises:
        UserError: It cannot be renamed.
    """
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        os.rename(path, aside)
    except OSError as error:
        raise UserError(
            f"{path}: damaged, and cannot be renamed to be made again ({error.strerror}); remove it"
        ) from error
    return aside


def is_numbers(value: object) -> TypeGuard[dict[str, float]]:
    """Whether a value read from JSON is a mapping of names to numbers."""
    return isinstance(value, dict) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in value.values()
    )


def is_texts(value: object) -> TypeGuard[dict[str, str]]:
    """Whether a value read from JSON is a mapping of names to texts."""
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces.

    Raises:
        DamagedError: It cannot be read.
    """
    try:
        with open_to_read(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise DamagedError(path, "missing") from error
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {error.strerror}") from error


def _digest(content: Mapping[str, Any]) -> str:
    # Through JSON and back: tuples, and keys that are numbers, read as they were sealed.
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
