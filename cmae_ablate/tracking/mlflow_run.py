"""One cell's run: told to MLflow in the background, and from the beginning again where the run is lost."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from cmae_ablate.database import cause_of
from cmae_ablate.tracking.background import Background
from cmae_ablate.tracking.run_tree import RunTree
from cmae_ablate.tracking.run_writer import Entry, Kind, RunWriter
from cmae_ablate.tracking.store import Store
from cmae_ablate.tracking.tracker import Status

LOGGER = logging.getLogger(__name__)
CELL_SECONDS = 10.0
"""What a cell waits for MLflow in all, at its end, and only while the store keeps up with it."""


class MlflowRun:
    """A cell's run. All that it is told stays in memory until the cell's end: some numbers an epoch.

    Args:
        store: Reaches MLflow, in the background.
        background: Where it is reached.
        start: Says which cell it is.
    """

    def __init__(self, store: Store, background: Background, start: Entry) -> None:
        self._store, self._background, self._start = store, background, start
        self._entries: list[Entry] = []
        self._tree: RunTree | None = None
        self._writer: RunWriter | None = None
        self._told = 0
        self._refused = -1
        background.do(self._hand_in)

    def log_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch's metrics; what the run already has of that epoch is not logged twice."""
        self._tell("metrics", step=epoch, values={name: float(value) for name, value in metrics.items()})

    def log_results(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log what the cell ends with after its last epoch."""
        self._tell("results", step=epoch, values={name: float(value) for name, value in metrics.items()})

    def log_dict(self, content: Mapping[str, object], name: str) -> None:
        """Keep plain data as the JSON file `name`."""
        self._tell("text", name=name, text=json.dumps(content, indent=2, default=str))

    def log_artifact(self, path: Path, folder: str) -> None:
        """Keep a copy of a file below `folder`."""
        self._tell("artifact", name=str(path.resolve()), text=folder)

    def finish(self, status: Status) -> None:
        """End the run; what cannot be told now is told later, at the latest by the same command."""
        self._tell("finish", name=status)
        if not self._store.is_away and not self._store.is_stuck:
            self._store.is_stuck = not self._background.wait(CELL_SECONDS)

    def _tell(
        self,
        kind: Kind,
        *,
        step: int = 0,
        name: str = "",
        text: str = "",
        values: dict[str, float] | None = None,
    ) -> None:
        entry = Entry(kind, round(time.time() * 1000), step=step, name=name, text=text, values=values or {})

        def hand_in() -> None:
            self._entries.append(entry)
            self._hand_in()

        self._background.do(hand_in)

    def _hand_in(self) -> None:
        self._refused = -1
        self._store.attempt(self._write, creates=self._tree is None)

    def _write(self, tree: RunTree) -> None:
        """Tell what the run lacks: of a new connection everything, for nobody knows what was lost."""
        if self._writer is None or self._tree is not tree:
            self._writer, self._told = RunWriter.open(tree, self._start), 0
            self._tree = tree
        while self._told < len(self._entries):
            entry = self._entries[self._told]
            try:
                self._writer.write(tree.client, entry)
            except Exception as error:
                if self._refused != self._told:
                    self._refused = self._told
                    raise  # the run may be gone: it is looked for, or made, and told everything again
                title = f"{self._start.variant}, seed {self._start.seed}"
                LOGGER.warning("tracking: %s of %s is refused (%s)", entry.kind, title, cause_of(error))
            self._told += 1
