"""The content-addressed cache of an `--out`: what lies in it, which study uses it, and what may go."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

LOCK = "lock"
"""Held in an entry's folder while a cell is pretrained or evaluated there."""
PLAN = "pretraining.json"
"""In a study's folder: the entries that its cells need, those of its current design apart from older ones."""
State = Literal["running", "finished", "interrupted"]


@dataclass(frozen=True)
class Use:
    """One cell that an entry belongs to.

    Attributes:
        study: Name of the study.
        variant: Label of the variant.
        seed: The cell's seed.
        is_current: False where the study has other settings now.
    """

    study: str
    variant: str
    seed: int
    is_current: bool


@dataclass(frozen=True)
class Entry:
    """One pretraining with its evaluations.

    Attributes:
        folder: Where it lies; its name is the pretraining's fingerprint.
        state: `running` while some process holds it, `interrupted` where a checkpoint waits to be resumed.
        size: Bytes in all.
        training_state: Bytes of these that only resuming needs.
        days: Since it was last of use to a cell.
        uses: The cells it belongs to; empty where no study of this `--out` knows it.
        made_from: Seed and main choices, as far as the entry itself tells.
    """

    folder: Path
    state: State
    size: int
    training_state: int
    days: float
    uses: tuple[Use, ...]
    made_from: str

    @property
    def is_unused(self) -> bool:
        """Whether no study of this `--out` has it in its current design."""
        return not any(use.is_current for use in self.uses)


def record_plan(folder: Path, cells: Iterable[tuple[str, str, int]]) -> None:
    """Note which entries a study's current design needs.

    Args:
        folder: The study's folder.
        cells: Fingerprint of the pretraining, variant, seed.
    """
    # Written aside by whoever comes; workers of one design write the same.
    from cmae_ablate.checkpoint import write_atomically

    current: dict[str, list[list[str | int]]] = {}
    for key, variant, seed in cells:
        current.setdefault(key, []).append([variant, seed])
    known = _read(folder / PLAN)
    older = {**known.get("older", {}), **known.get("current", {})}
    older = {key: used for key, used in older.items() if key not in current}
    content = {"current": current, "older": older}
    if content != known:
        write_atomically(folder / PLAN, json.dumps(content).encode())


def entries(out: Path) -> list[Entry]:
    """What lies in the cache of an `--out`, the largest first; folders that are emptied are left out."""
    uses: dict[str, list[Use]] = {}
    for plan in sorted(out.glob(f"*/{PLAN}")):
        for kind, needed in _read(plan).items():
            for key, cells in needed.items():
                study, is_current = plan.parent.name, kind == "current"
                uses.setdefault(key, []).extend(
                    Use(study, variant, seed, is_current) for variant, seed in cells
                )
    folders = [folder for folder in (out / "cache" / "pretrain").glob("*") if _files(folder)]
    found = [_entry(folder, uses.get(folder.name, [])) for folder in folders]
    return sorted(found, key=lambda entry: -entry.size)


def prunable(found: Sequence[Entry], *, unused: bool, older_than: float | None) -> list[Entry]:
    """The entries that fit every given condition; never one that is running."""
    return [
        entry
        for entry in found
        if entry.state != "running"
        and (entry.is_unused or not unused)
        and (older_than is None or entry.days >= older_than)
    ]


def remove(entry: Entry) -> int:
    """Empty an entry, unless a process has taken it meanwhile.

    Its lock file stays, and with it the folder: who waits for a lock must not get one that is unlinked.

    Returns:
        The bytes that are free now.
    """
    try:
        with FileLock(entry.folder / LOCK, mode=0o600, timeout=0):
            freed = sum(path.stat().st_size for path in _files(entry.folder))
            for path in entry.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
            return freed
    except Timeout:
        return 0


def _entry(folder: Path, uses: Iterable[Use]) -> Entry:
    files = _files(folder)
    states = [path for path in files if path.name.startswith("step-") or path.parent != folder]
    record = _read(folder / "result.json")
    state: State = "running" if _is_held(folder) else "finished" if record else "interrupted"
    return Entry(
        folder,
        state,
        sum(path.stat().st_size for path in files),
        sum(path.stat().st_size for path in states),
        max(0.0, time.time() - folder.stat().st_mtime) / 86400,
        tuple(uses),
        _made_from(record),
    )


def _is_held(folder: Path) -> bool:
    lock = folder / LOCK
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, mode=0o600, timeout=0):
            return False
    except Timeout:
        return True


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK]


def _made_from(record: Mapping[str, Any]) -> str:
    spec = record.get("spec", {})
    parts = [spec.get(slot, {}).get("name") for slot in ("dataset", "backbone", "decoder")]
    epochs = spec.get("training", {}).get("epochs")
    if not all(parts) or epochs is None:
        return ""
    return f"{', '.join(parts)}, {epochs} epochs, seed {record.get('seed')}"


def _read(path: Path) -> dict[str, Any]:
    """A JSON file's mapping; empty where it is absent or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
