"""The content-addressed cache of an `--out`: what lies in it, which study uses it, and what may go."""

from __future__ import annotations

import fcntl
import logging
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from filelock import FileLock, Timeout

from cmae_ablate.files import DamagedError, read_record, sealed, set_aside, write_atomically

LOGGER = logging.getLogger(__name__)

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


def record_plan(folder: Path, cells: Iterable[tuple[str, str, int]], source: Path | None = None) -> None:
    """Note which entries a study's current design needs.

    Two study files of one name share a folder: what one of them needs is no older design of the other's.

    Args:
        folder: The study's folder.
        cells: Fingerprint of the pretraining, variant, seed.
        source: The study file.
    """
    # Written aside by whoever comes; workers of one design write the same.
    current: Needs = {}
    for key, variant, seed in cells:
        current.setdefault(key, []).append((variant, seed))
    path = folder / PLAN
    try:
        known = read_plan(path)
    except DamagedError as error:
        LOGGER.warning("%s; kept as %s, written anew", error, set_aside(path).name)
        known = Plan()
    name = "" if source is None else str(source.resolve())
    older = {**known.older, **known.current.get(name, {})}
    older = {key: used for key, used in older.items() if key not in current}
    plan = Plan({**known.current, name: current}, older)
    if plan != known:
        write_atomically(path, sealed({"current": plan.current, "older": plan.older}))


Needs: TypeAlias = "dict[str, list[tuple[str, int]]]"
"""Variant and seed of the cells that need an entry, by the entry's name."""


@dataclass(frozen=True)
class Plan:
    """Which entries a study's folder is about.

    Attributes:
        current: What each study file's current design needs, by the file's path.
        older: What designs before them needed.
    """

    current: Mapping[str, Needs] = field(default_factory=dict)
    older: Needs = field(default_factory=dict)


def read_plan(path: Path) -> Plan:
    """Read what `record_plan` wrote; an empty plan where there is none.

    Raises:
        DamagedError: It is not what was written.
    """
    try:
        content = read_record(path)
    except FileNotFoundError:
        return Plan()
    current, older = content.get("current"), content.get("older")
    if not isinstance(current, dict) or not isinstance(older, dict):
        raise DamagedError(path, "current or older is missing")
    if any(isinstance(used, list) for used in current.values()):
        current = {"": current}  # as written before folders knew their study files
    return Plan({source: _needs(path, node) for source, node in current.items()}, _needs(path, older))


def _needs(path: Path, node: object) -> Needs:
    found: Needs = {}
    for key, cells in node.items() if isinstance(node, dict) else [("", None)]:
        for cell in cells if isinstance(cells, list) else [None]:
            if not isinstance(cell, list) or len(cell) != 2 or not isinstance(cell[0], str):
                raise DamagedError(path, f"{key!r}: pairs of variant and seed are expected")
            if isinstance(cell[1], bool) or not isinstance(cell[1], int) or cell[1] < 0:
                raise DamagedError(path, f"{key!r}: a seed is a whole number from 0")
            found.setdefault(key, []).append((cell[0], cell[1]))
    return found


def damaged_plans(out: Path) -> list[DamagedError]:
    """The plans that cannot be read: what their studies need is unknown."""
    found = []
    for path in _plans(out):
        try:
            read_plan(path)
        except DamagedError as error:
            found.append(error)
    return found


def entries(out: Path) -> list[Entry]:
    """What lies in the cache of an `--out`, the largest first; folders that are emptied are left out.

    Uses by studies whose plans are damaged are not among them: see `damaged_plans`.
    """
    uses: dict[str, list[Use]] = {}
    for path in _plans(out):
        with suppress(DamagedError):
            plan, study = read_plan(path), str(path.parent.relative_to(out))
            for needed, is_current in [*((n, True) for n in plan.current.values()), (plan.older, False)]:
                for key, cells in needed.items():
                    users = uses.setdefault(key, [])
                    users += [Use(study, variant, seed, is_current) for variant, seed in cells]
    for key, users in uses.items():
        uses[key] = list(dict.fromkeys(users))  # two files of one name may need the same
    folders = [folder for folder in (out / "cache" / "pretrain").glob("*") if _files(folder)]
    found = [_entry(folder, uses.get(folder.name, [])) for folder in folders]
    return sorted(found, key=lambda entry: -entry.size)


def _plans(out: Path) -> list[Path]:
    # Of a search's tuning and a study's control experiments, too, which lie in folders of their own.
    return sorted([*out.glob(f"*/{PLAN}"), *out.glob(f"*/*/{PLAN}")])


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
    # Not by FileLock, which opens for writing: a result may be looked at that nobody may write to.
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK]


def _made_from(record: Mapping[str, Any]) -> str:
    try:
        spec = record["spec"]
        parts = [str(spec[slot]["name"]) for slot in ("dataset", "backbone", "decoder")]
        epochs = spec["training"]["epochs"]
    except (KeyError, TypeError):
        return ""
    return f"{', '.join(parts)}, {epochs} epoch{'' if epochs == 1 else 's'}, seed {record.get('seed')}"


def _read(path: Path) -> dict[str, Any]:
    """A record; empty where it is absent or damaged."""
    try:
        return read_record(path)
    except (FileNotFoundError, DamagedError):
        return {}
