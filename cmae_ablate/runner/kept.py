"""Numbers that plans keep for the next one, in the user's cache: what was counted, what was timed.

They hold for the very code that found them: any other file of this package, of a plug-in, or any other
version of the libraries that compute has a file of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from cmae_ablate.checkpoint import text_digest
from cmae_ablate.components.loading import code_digest
from cmae_ablate.files import DamagedError, cache_root, read_record, sealed, write_atomically

Kind = Literal["counts", "speeds"]
MOST = 5000
"""Numbers of a kind that are kept, the newest."""
MOST_FILES = 4
"""Versions of the code whose numbers are kept, the newest."""


class Kept:
    """The numbers that this code has found on this machine.

    Args:
        path: Their file; None where nothing can be kept.
        notice: Told why what was kept is not used.
    """

    def __init__(self, path: Path | None, notice: Callable[[str], None]) -> None:
        self._path = path
        self._numbers: dict[str, dict[str, Any]] = {"counts": {}, "speeds": {}}
        self._is_changed = False
        try:
            if path is not None:
                read = read_record(
                    path, needs_seal=True
                )  # by this very code: whoever reads it trusts its shape
                self._numbers = {kind: dict(read[kind]) for kind in self._numbers}
        except FileNotFoundError:
            pass
        except (DamagedError, KeyError, TypeError, ValueError) as error:
            notice(f"{path}: not used, and found anew ({error})")

    @classmethod
    def of_this_code(cls, notice: Callable[[str], None]) -> Kept:
        """What the code that runs now has found; the components must be loaded."""
        digest = code_digest()
        return cls(None if digest is None else cache_root() / "plan" / f"{digest[:16]}.json", notice)

    def find(self, kind: Kind, key: object) -> Any:
        """What was found for a key, as JSON; None where nothing was."""
        return self._numbers[kind].get(_name(key))

    def keep(self, kind: Kind, key: object, number: Any) -> None:
        """Keep what was found, until `save`."""
        self._numbers[kind][_name(key)] = number
        self._is_changed = True

    def save(self) -> None:
        """Write what is new. Of two plans at once one is kept: the other's numbers are found again."""
        if self._path is None or not self._is_changed:
            return
        newest = {kind: dict(list(numbers.items())[-MOST:]) for kind, numbers in self._numbers.items()}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, sealed(newest))
            by_age = sorted(self._path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for old in by_age[:-MOST_FILES]:
                old.unlink(missing_ok=True)
        except OSError:
            return  # a cache that cannot be written costs time, nothing else


def _name(key: object) -> str:
    return text_digest(json.dumps(key, sort_keys=True))[:32]
