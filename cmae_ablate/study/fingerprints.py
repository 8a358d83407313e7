"""What a fingerprint is made of: canonical JSON, and files by their content."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from cmae_ablate.errors import UserError
from cmae_ablate.files import MAX_WEIGHTS, check_regular, open_to_read


def digest(content: dict[str, Any]) -> str:
    """32 hexadecimal digits that name plain data, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def file_digest(path: str) -> str:
    """The SHA-256 of a file's content, read once while the file stays as it is.

    Raises:
        UserError: It cannot be read.
    """
    try:
        check_regular(Path(path), MAX_WEIGHTS)
        state = Path(path).stat()
        return _content_digest(Path(path), state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct the path") from error


@lru_cache(maxsize=64)
def _content_digest(path: Path, size: int, changed: int) -> str:
    with open_to_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
