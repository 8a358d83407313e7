"""What a cell's run still has to tell the store, kept on disk until it has been told."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["start", "metrics", "text", "artifact", "finish"]


@dataclass(frozen=True)
class Entry:
    """One thing to tell.

    Attributes:
        kind: What it is.
        time: Milliseconds since 1970 at which it happened.
        step: Epoch of `metrics`.
        name: File name of `text`, source path of `artifact`, status of `finish`.
        text: Content of `text`, folder of `artifact`.
        values: Metrics of `metrics`.
        params: Parameters of `start`.
        tags: Tags of `start`; they and the next two say which cell it is.
        variant: Of `start`.
        seed: Of `start`.
    """

    kind: Kind
    time: int
    step: int = 0
    name: str = ""
    text: str = ""
    values: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    seed: int = 0


class Spool:
    """One cell's entries as JSON lines; the file exists only while something is left to tell.

    Args:
        folder: Holds the spools of a study; created, with those above it.
        start: The entry that names the cell; it is always the file's first.
    """

    def __init__(self, folder: Path, start: Entry) -> None:
        self.start = start
        cell = json.dumps([start.variant, start.seed, start.tags.get("fingerprint", "")])
        self.path = folder / f"{hashlib.sha256(cell.encode()).hexdigest()[:24]}.jsonl"

    def append(self, entry: Entry) -> None:
        """Add an entry, and the cell's name before the first one.

        Raises:
            OSError: The disk is full, or gone.
        """
        missing = [each for each in self.path.parents if not each.exists()]
        for folder in reversed(missing):  # `parents=True` would leave all but the last open to others
            folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as lines:
            entries = [entry] if os.fstat(descriptor).st_size else [self.start, entry]
            # A line begun by a process that was killed must not swallow the next.
            lines.write("".join(f"\n{json.dumps(asdict(each))}" for each in entries))

    def clear(self) -> None:
        """Everything has been told."""
        self.path.unlink(missing_ok=True)


def read_spool(path: Path) -> list[Entry]:
    """The entries of a spool, the cell's `start` first; empty where nothing legible is left."""
    entries = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            entries.append(Entry(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # torn by a kill in the middle of a write
    return entries if entries and entries[0].kind == "start" else []
