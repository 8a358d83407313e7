"""How far a study is: workers leave notes in a folder, the command that started them shows them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TimeRemainingColumn,
)

from cmae_ablate.errors import readable
from cmae_ablate.files import read_regular
from cmae_ablate.runner.watchdog import STALL_MINUTES, stalled_words
from cmae_ablate.terminal import PlainColumn, say

NOTES = "progress"
"""Below a study's folder, where its workers leave their notes."""
NOTE_BYTES = 2**20
WRITE_SECONDS = 0.5
SHOW_SECONDS = 0.5


@dataclass(frozen=True)
class CellNote:
    """What a worker says of the cell it is at.

    Attributes:
        cell: The cell's id.
        title: For people: variant and seed.
        phase: `starting`, `pretraining`, `evaluating`, `complete`, `pruned`, `failed` or `interrupted`.
        step: Optimiser steps done.
        steps: Optimiser steps in all.
        epoch: Epochs done.
        epochs: Epochs in all.
        text: What there is to add, such as the metric or the reason of a failure.
        log: Path of the worker's log; empty if unknown.
        at: Seconds since 1970 of its last step.
        patience: Seconds without a step after which people are told.
    """

    cell: str
    title: str
    phase: str
    step: int = 0
    steps: int = 0
    epoch: int = 0
    epochs: int = 0
    text: str = ""
    log: str = ""
    at: float = 0.0
    patience: float = STALL_MINUTES * 60

    @property
    def doing(self) -> str:
        """The phase, and how far it is."""
        return f"{self.phase}, step {self.step} of {self.steps}" if self.steps else self.phase

    def stalled(self, now: float) -> float | None:
        """Seconds since the last step, where they are more than is usual; None where all is well."""
        seconds = now - self.at
        return None if self.is_over or seconds <= self.patience else seconds

    @property
    def is_over(self) -> bool:
        """Whether the worker has left the cell."""
        return self.phase in {"complete", "pruned", "failed", "interrupted"}


class NoteWriter:
    """A worker's pen for one cell: at most two notes a second, except when the phase changes.

    Attributes:
        last: The latest note that was written.
    """

    def __init__(self, folder: Path, cell: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = _note_path(folder, cell)
        self._last = 0.0
        self._phase = ""
        self._note: CellNote | None = None
        self.last: CellNote | None = None

    def write(self, note: CellNote) -> None:
        """Leave a note; never raises for a full disk, for progress is not worth a training."""
        now = time.monotonic()
        self._note = note
        if note.phase == self._phase and now - self._last < WRITE_SECONDS:
            return
        self._last, self._phase = now, note.phase
        self.last = note = replace(note, at=time.time())
        aside = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            aside.write_text(json.dumps(asdict(note)))
            os.replace(aside, self._path)
        except OSError:
            aside.unlink(missing_ok=True)

    def again(self) -> None:
        """The same note, at a later time: it goes on."""
        if self._note is not None:
            self.write(self._note)


def _note_path(folder: Path, cell: str) -> Path:
    """Where the note on a cell lies."""
    return folder / f"{hashlib.sha256(cell.encode()).hexdigest()[:24]}.json"


def read_notes(folder: Path) -> list[CellNote]:
    """The latest note of every cell that was worked on."""
    notes = []
    for path in sorted(folder.glob("*.json")):
        try:
            notes.append(CellNote(**json.loads(read_regular(path, NOTE_BYTES))))
        except (OSError, ValueError, TypeError, RecursionError):
            continue  # being replaced this moment: the next look will see it
    return notes


class Monitor:
    """Shows the study's progress while the `with` block runs: bars in a terminal, lines elsewhere.

    Notes on other cells are left alone: a second command, with other settings, may be at work on those.

    Args:
        folder: Where the workers leave notes; old notes on these cells are removed.
        cells: Ids of the study's cells.
        done: How many of them were complete before.
        console: Where to show.
    """

    def __init__(self, folder: Path, cells: Sequence[str], done: int, console: Console) -> None:
        self._folder, self._cells, self._done, self._console = folder, frozenset(cells), done, console
        self._total = len(cells)
        for cell in cells:
            _note_path(folder, cell).unlink(missing_ok=True)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._over: set[tuple[str, str]] = set()
        self._progress = Progress(
            PlainColumn("{task.description}", "bold"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            PlainColumn("{task.fields[text]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._study = self._progress.add_task(
            "study", total=self._total, completed=done, text=f"{done} of {self._total} cells"
        )
        self._tasks: dict[str, TaskID] = {}
        self._epochs: dict[str, int] = {}
        self._stalled: set[str] = set()

    def __enter__(self) -> Monitor:
        if self._console.is_terminal:
            self._progress.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        if self._console.is_terminal:
            self._progress.stop()

    def _run(self) -> None:
        while not self._stop.wait(SHOW_SECONDS):
            self._look()

    def _look(self) -> None:
        for note in read_notes(self._folder):
            if note.cell not in self._cells:
                continue
            if note.is_over:
                self._finish(note)
            else:
                self._update(note)
                self._warn(note)

    def _warn(self, note: CellNote) -> None:
        """Name a cell without a step, once, and once more when it goes on."""
        seconds = note.stalled(time.time())
        if seconds is None and note.cell in self._stalled:
            self._stalled.remove(note.cell)
            say(f"{readable(note.title)}: goes on", self._console)
        elif seconds is not None and note.cell not in self._stalled:
            self._stalled.add(note.cell)
            text = stalled_words(note.title, note.doing, seconds, note.at, note.log)
            say(readable(text), self._console)

    def _finish(self, note: CellNote) -> None:
        key = (note.cell, note.phase)
        if key in self._over:
            return
        self._over.add(key)
        self._done += note.phase in {"complete", "pruned"}
        task = self._tasks.pop(note.cell, None)
        if task is not None:
            self._progress.remove_task(task)
        self._progress.update(self._study, completed=self._done, text=f"{self._done} of {self._total} cells")
        told = readable(f"{note.title}: {note.phase} {note.text}")
        say(f"{self._done}/{self._total} {told}", self._console)

    def _update(self, note: CellNote) -> None:
        if not self._console.is_terminal:
            if note.epoch and self._epochs.get(note.cell) != note.epoch:
                self._epochs[note.cell] = note.epoch
                told = readable(f"{note.title}: epoch {note.epoch} of {note.epochs} done")
                say(f"    {told}", self._console)
            return
        # A bar without a total pulses: how long building and evaluating take is not known.
        total = note.steps if note.step < note.steps else None
        training = total is not None and note.phase == "pretraining"
        epoch = f"epoch {min(note.epoch + 1, note.epochs)} of {note.epochs}" if training else note.phase
        if note.cell not in self._tasks:
            self._tasks[note.cell] = self._progress.add_task(f"  {note.title}", total=total, text=epoch)
        self._progress.update(self._tasks[note.cell], total=total, completed=note.step, text=epoch)


@contextmanager
def preparation(console: Console) -> Iterator[_Preparation]:
    """A bar for the preparation of data, shown once there is something to prepare."""
    progress = Progress(
        PlainColumn("{task.description}", "bold"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    shown = _Preparation(progress, console)
    try:
        yield shown
    finally:
        if console.is_terminal:
            progress.stop()


class _Preparation:
    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress, self._console = progress, console
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show that `done` of `total` images of `label` are prepared."""
        if not self._console.is_terminal:
            if label not in self._tasks:
                self._tasks[label] = TaskID(len(self._tasks))
                say(f"{label}: {total} images", self._console)
            return
        if not self._tasks:
            self._progress.start()
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total)
        self._progress.update(self._tasks[label], completed=done)
