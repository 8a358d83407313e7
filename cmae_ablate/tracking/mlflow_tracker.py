"""Tracking in MLflow that training never waits for and never fails for.

A thread of each tracker's own talks to the store (`background`), and all that a store does wrong ends at one
border (`store`). What is not told in the end is told by the next command: queue and cache have all of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cmae_ablate.tracking.background import Background
from cmae_ablate.tracking.links import address_of
from cmae_ablate.tracking.mlflow_run import MlflowRun
from cmae_ablate.tracking.run_tree import NOTE, RunTree
from cmae_ablate.tracking.run_writer import Entry, metric_name, settle_run, write_parameters
from cmae_ablate.tracking.saved_view import TAG, saved_view, study_address
from cmae_ablate.tracking.store import Store
from cmae_ablate.tracking.tracker import CellId, CellKey, Findings, Status, Subject, TrackedCell

if TYPE_CHECKING:
    from mlflow.entities import Metric

STUDY_SECONDS = 60.0
"""What a command waits for each thing that it does to the study's runs; a new store takes long to make."""
BATCH = 500
EFFECT, VERDICT, REPORT = "effect", "verdict", "report"
TAG_CHARACTERS = 5000


class MlflowTracker:
    """A study's runs in MLflow: one parent, one child a variant, one grandchild a seed.

    Args:
        uri: Of a database or a server.
        artifacts: Folder of artifacts, where the store is a database.
        study: Name of the study, and of its experiment.

    Raises:
        UserError: The URI is none of MLflow's.
    """

    def __init__(self, uri: str, artifacts: Path, study: str) -> None:
        self._uri, self._study = uri, study
        self._store = Store(uri, artifacts, study)
        self._background = Background(f"tracking of {study}")

    def open_study(self, cells: Iterable[TrackedCell], subject: Subject) -> None:
        """Begin the runs of the study and its variants, and sort those of cells that it no longer has below
        'older settings'.

        Args:
            cells: Every cell of the current design.
            subject: What the study is about; the question is shown as its description until it has an answer.
        """
        current = {(cell.variant, cell.seed, cell.fingerprint) for cell in cells}
        metric = f"metrics.`{metric_name(subject.metric)}`"
        columns = {metric: 170, f"tags.`{EFFECT}`": 200, f"tags.`{VERDICT}`": 260}

        def write(tree: RunTree) -> None:
            run_id = tree.study_run()
            for name, text in {**subject.tags, "question": subject.question, NOTE: subject.question}.items():
                tree.client.set_tag(run_id, name, text[:TAG_CHARACTERS])
            for variant, parameters in subject.parameters.items():
                write_parameters(tree, variant, parameters)
            tree.sort(current)
            view = saved_view(columns, round(time.time() * 1000))
            tree.client.set_experiment_tag(tree.experiment, TAG, view)

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
        return MlflowRun(self._store, self._background, entry)

    def untold(self, done: Collection[CellId]) -> list[CellId]:
        """Which of these cells have no run that came to its end; none while the store is away."""
        found: list[CellId] = []
        self._attempt(lambda tree: found.extend(tree.untold(done)), creates=False)
        return found

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

    def finish_study(
        self,
        summary: Mapping[str, Mapping[str, float]],
        status: Status = "FINISHED",
        findings: Findings | None = None,
    ) -> None:
        """Give each variant's run its summary and the study's what it found, and end them.

        Args:
            summary: Metrics such as `knn.top1.std` by variant.
            status: Of the study's run and of each variant's.
            findings: What the report says.
        """

        def write(tree: RunTree) -> None:
            for variant, metrics in summary.items():
                run_id = tree.variant_run(variant)
                listed = _summary_metrics(metrics)
                for first in range(0, len(listed), BATCH):
                    tree.client.log_batch(run_id, metrics=listed[first : first + BATCH])
            if findings is not None:
                lines = findings.answer[:TAG_CHARACTERS].splitlines()
                tree.client.set_tag(tree.study_run(), NOTE, "\n\n".join(lines))  # Markdown's own lines
                tree.describe("".join(lines[:1]))
                for variant, (effect, verdict) in findings.verdicts.items():
                    for name, text in {EFFECT: effect, VERDICT: verdict}.items():
                        tree.client.set_tag(tree.variant_run(variant), name, text[:TAG_CHARACTERS])
            tree.end_groups(status)

        self._attempt(write)
        if findings is not None:
            # By itself: a store that takes no files has all the numbers nevertheless.
            self._attempt(lambda tree: _write_files(tree, findings.files), creates=False)

    def reconcile(
        self, running: Collection[CellKey], complete: Collection[CellKey] = (), *, groups: bool = True
    ) -> None:
        """End every run whose cell is not running.

        Args:
            running: Cells that some worker holds at this moment.
            complete: Cells with a result: their runs are FINISHED, other stale ones KILLED.
            groups: Whether the runs of the study and its variants end too; not while a report is to come.
        """
        self._attempt(lambda tree: tree.end_stale(set(running), set(complete), groups))

    def address(self) -> str:
        """Where a browser finds the study's runs, once `ui_command` runs; empty while the store is away."""
        root = address_of(self._uri)
        found: list[str] = []
        self._attempt(lambda tree: found.append(tree.experiment), creates=False)
        return "".join(study_address(root, each) for each in found)

    def remedy(self) -> str:
        """What to do where the store will never answer by itself; empty otherwise."""
        return self._store.remedy

    def _attempt(self, action: Callable[[RunTree], None], *, creates: bool = True) -> bool:
        """Do something with the study's runs; False where it failed, or is not done in time."""
        done: list[bool] = []
        self._background.do(lambda: done.append(self._store.attempt(action, creates=creates)))
        is_known = self._store.is_stuck and self._store.is_away
        if not self._background.wait(0.0 if is_known else STUDY_SECONDS):
            self._store.give_up_waiting(STUDY_SECONDS)
        return done == [True]


def _write_files(tree: RunTree, files: Collection[Path]) -> None:
    run_id = tree.study_run()
    for file in files:
        tree.client.log_artifact(run_id, str(file), REPORT)


def _summary_metrics(metrics: Mapping[str, float]) -> list[Metric]:
    from mlflow.entities import Metric

    now = round(time.time() * 1000)
    return [Metric(metric_name(name), value, now, 0) for name, value in metrics.items()]
