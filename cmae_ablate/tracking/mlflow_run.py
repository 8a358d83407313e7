"""One cell's run: every epoch handed to MLflow at once, or kept on disk while MLflow is away."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from cmae_ablate.database import cause_of
from cmae_ablate.tracking.connection import is_hopeless
from cmae_ablate.tracking.run_tree import RunTree
from cmae_ablate.tracking.run_writer import RunWriter
from cmae_ablate.tracking.spool import Entry, Kind, Spool
from cmae_ablate.tracking.tracker import Status

LOGGER = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0


class Attempt(Protocol):
    """Does something with the tree and says whether the store answered."""

    def __call__(self, action: Callable[[RunTree], None], *, creates: bool) -> bool:
        """Do it; `creates` where two processes might make the same run twice."""


class MlflowRun:
    """A cell's run. An entry is written to the spool first, told to MLflow next, and then struck out.

    Args:
        spool: Where entries wait.
        attempt: Reaches the store.
        left_behind: What a process that is gone did not get to tell; it comes first.
    """

    def __init__(self, spool: Spool, attempt: Attempt, left_behind: Iterable[Entry] = ()) -> None:
        self._spool = spool
        self._title = f"{spool.start.variant}, seed {spool.start.seed}"
        self._attempt = attempt
        self._writer: RunWriter | None = None
        self._waiting: list[Entry] = [spool.start, *left_behind]
        self._pause = FIRST_PAUSE
        self._next_try = 0.0
        self._try(now=True)

    def log_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch's metrics; what the run already has of that epoch is not logged twice."""
        values = {name: float(value) for name, value in metrics.items()}
        self._tell("metrics", step=epoch, values=values)

    def log_dict(self, content: Mapping[str, object], name: str) -> None:
        """Keep plain data as the JSON file `name`."""
        self._tell("text", name=name, text=json.dumps(content, indent=2, default=str))

    def log_artifact(self, path: Path, folder: str) -> None:
        """Keep a copy of a file below `folder`."""
        self._tell("artifact", name=str(path.resolve()), text=folder)

    def finish(self, status: Status) -> None:
        """End the run; what cannot be told now is told by the next command."""
        self._tell("finish", name=status, now=True)

    def _tell(
        self,
        kind: Kind,
        *,
        step: int = 0,
        name: str = "",
        text: str = "",
        values: dict[str, float] | None = None,
        now: bool = False,
    ) -> None:
        entry = Entry(kind, round(time.time() * 1000), step=step, name=name, text=text, values=values or {})
        self._waiting.append(entry)
        try:
            self._spool.append(entry)
        except OSError as error:
            LOGGER.warning("tracking: %s cannot be written (%s)", self._spool.path, error.strerror)
        self._try(now=now)

    def _try(self, *, now: bool) -> None:
        if not now and time.monotonic() < self._next_try:
            return
        if self._attempt(self._hand_in, creates=self._writer is None):
            self._spool.clear()
            self._pause, self._next_try = FIRST_PAUSE, 0.0
        else:
            self._next_try = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _hand_in(self, tree: RunTree) -> None:
        while self._waiting:
            entry = self._waiting[0]
            try:
                if entry.kind == "start":
                    self._writer = RunWriter.open(tree, entry)
                elif self._writer is not None:
                    self._writer.write(tree.client, entry)
            except Exception as error:
                if not is_hopeless(error):
                    raise
                tree.forget()
                LOGGER.warning("tracking: %s of %s is refused (%s)", entry.kind, self._title, cause_of(error))
            self._waiting.pop(0)
