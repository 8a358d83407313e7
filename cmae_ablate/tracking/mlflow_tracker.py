"""Tracking in MLflow that training never waits for and never fails for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from cmae_ablate.database import cause_of, redact, sqlite_path
from cmae_ablate.files import create_private
from cmae_ablate.tracking.connection import UI_ADDRESS, check_uri, connect, create_tables
from cmae_ablate.tracking.mlflow_run import MlflowRun
from cmae_ablate.tracking.run_tree import NOTE, RunTree
from cmae_ablate.tracking.run_writer import legal_name, settle_run
from cmae_ablate.tracking.spool import Entry, Spool, read_spool
from cmae_ablate.tracking.tracker import CellId, CellKey, Status, TrackedCell

if TYPE_CHECKING:
    from mlflow.entities import Metric

LOGGER = logging.getLogger(__name__)
BATCH = 500


class MlflowTracker:
    """A study's runs in MLflow: one parent, one child a variant, one grandchild a seed.

    While the store is away, what there is to tell waits below `tracking/` beside the artifacts; it is told
    when the store answers again, at the latest by the next command.

    Args:
        uri: Of a database or a server.
        artifacts: Folder of artifacts, where the store is a database; its parent holds what waits.
        study: Name of the study, and of its experiment.

    Raises:
        UserError: The URI is none of MLflow's.
    """

    def __init__(self, uri: str, artifacts: Path, study: str) -> None:
        check_uri(uri)
        self._uri = uri
        self._study = study
        self._artifacts = artifacts
        self._spools = artifacts.parent / "tracking" / study
        self._tree: RunTree | None = None
        self._is_away = False
        # An SQLite store's lock belongs to the database: two studies may share it.
        database = sqlite_path(uri)
        self._lock_path = (
            database.with_name(f"{database.name}.lock") if database else artifacts.parent / "mlflow.lock"
        )
        for file in (self._lock_path, *([database] if database else [])):
            create_private(file)
        artifacts.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open_study(self, cells: Iterable[TrackedCell], description: Mapping[str, str]) -> None:
        """Begin the study's run, and sort the runs of cells that it no longer has below 'older settings'.

        Args:
            cells: Every cell of the current design.
            description: Tags of the study's run; `question` is also shown as its description.
        """
        current = {(cell.variant, cell.seed, cell.fingerprint) for cell in cells}

        def write(tree: RunTree) -> None:
            run_id = tree.study_run()
            for name, text in {**description, NOTE: description.get("question", self._study)}.items():
                tree.client.set_tag(run_id, name, text[:5000])
            tree.sort(current)

        self._attempt(write)

    def start_cell(
        self, variant: str, seed: int, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> MlflowRun:
        """The cell's run: a new one, or the one that an attempt before this one began.

        Args:
            variant: The variant's label.
            seed: The cell's seed.
            params: The resolved trial, by dotted path.
            tags: Must hold `fingerprint`; it tells cells apart whose variant and seed are the same.
        """
        entry = Entry(
            "start",
            round(time.time() * 1000),
            params=dict(params),
            tags=dict(tags),
            variant=variant,
            seed=seed,
        )
        spool = Spool(self._spools, entry)
        # An earlier attempt's end is not this one's.
        left_behind = [entry for entry in read_spool(spool.path)[1:] if entry.kind != "finish"]
        return MlflowRun(spool, self._attempt, left_behind)

    def settle_cells(self, numbers: Mapping[CellId, Mapping[str, float]]) -> None:
        """Let cells' runs end with the numbers of the table.

        Args:
            numbers: Metrics by variant, seed and fingerprint.
        """

        def write(tree: RunTree) -> None:
            for (variant, seed, fingerprint), metrics in numbers.items():
                run_id = tree.known_seed_run(variant, seed, fingerprint)
                if run_id is not None:
                    settle_run(tree.client, run_id, metrics)

        if numbers:
            self._attempt(write, creates=False)

    def finish_study(self, summary: Mapping[str, Mapping[str, float]], status: Status = "FINISHED") -> None:
        """Give each variant's run its summary, and end the runs of the study and its variants.

        Args:
            summary: Metrics such as `knn.top1.mean` by variant.
            status: Of the study's run and of each variant's.
        """

        def write(tree: RunTree) -> None:
            for variant, metrics in summary.items():
                run_id = tree.variant_run(variant)
                listed = _summary_metrics(metrics)
                for first in range(0, len(listed), BATCH):
                    tree.client.log_batch(run_id, metrics=listed[first : first + BATCH])
            tree.end_groups(status)

        self._attempt(write)

    def reconcile(
        self, running: Collection[CellKey], complete: Collection[CellKey] = (), *, groups: bool = True
    ) -> None:
        """Hand in what an outage held back, and end every run whose cell is not running.

        Args:
            running: Cells that some worker holds at this moment.
            complete: Cells with a result: their runs are FINISHED, other stale ones KILLED.
            groups: Whether the runs of the study and its variants end too; not while a report is to come.
        """
        for path in sorted(self._spools.glob("*.jsonl")):
            entries = read_spool(path)
            if not entries:
                path.unlink(missing_ok=True)
            elif (entries[0].variant, entries[0].seed) not in running:
                MlflowRun(Spool(self._spools, entries[0]), self._attempt, entries[1:])
        self._attempt(lambda tree: tree.end_stale(set(running), set(complete), groups))

    def address(self) -> str:
        """Where a browser finds the study's runs, once `ui_command` runs; empty while the store is away."""
        root = redact(self._uri).rstrip("/") if self._uri.startswith("http") else UI_ADDRESS
        found: list[str] = []
        self._attempt(lambda tree: found.append(tree.experiment))
        return "".join(f"{root}/#/experiments/{each}/runs?workflowType=machine_learning" for each in found)

    def _attempt(self, action: Callable[[RunTree], None], *, creates: bool = True) -> bool:
        """Reach the store; one that is away is reported once and never raises.

        Under the lock where something may be created, and where the store is a file; a server keeps what
        workers write to runs of their own apart.
        """
        from mlflow.exceptions import MlflowException

        alone = creates or self._tree is None or sqlite_path(self._uri) is not None
        try:
            with FileLock(self._lock_path, mode=0o600) if alone else nullcontext():
                if self._tree is None:
                    database = sqlite_path(self._uri)
                    if database is not None:
                        create_tables(database)
                    place = None if self._uri.startswith("http") else self._artifacts / self._study
                    self._tree = RunTree(connect(self._uri), self._study, place)
                action(self._tree)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            self._tree = None
            if not self._is_away:
                LOGGER.warning(
                    "tracking: MLflow at %s is away (%s); training goes on, metrics are kept in %s",
                    redact(self._uri),
                    cause_of(error),
                    self._spools,
                )
            self._is_away = True
            return False
        if self._is_away:
            LOGGER.warning("tracking: MLflow at %s answers again", redact(self._uri))
        self._is_away = False
        return True


def _summary_metrics(metrics: Mapping[str, float]) -> list[Metric]:
    from mlflow.entities import Metric

    now = round(time.time() * 1000)
    return [Metric(legal_name(name), value, now, 0) for name, value in metrics.items()]
