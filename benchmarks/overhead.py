"""Queue and tracking beside training: seconds a cell that are not training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.setting import Setting
from benchmarks.timing import Comparison
from cmae_ablate.queue import PlannedCell, Queue
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.tracking import MlflowTracker
from cmae_ablate.tracking.tracker import Subject

CELLS, VARIANTS, EPOCHS = 60, 4, 10
LIMIT = 2.0


def run(setting: Setting) -> Iterator[Comparison]:
    """Claim, track ten epochs, finish: again and again on SQLite."""
    cells = planned(4 if setting.quick else CELLS)
    with TemporaryDirectory() as folder:
        queue, tracker = opened(
            f"sqlite:///{folder}/optuna.db", f"sqlite:///{folder}/mlflow.db", folder, cells
        )
        seconds = []
        for _ in cells:
            start = time.perf_counter()
            assert cell(queue, tracker) is not None
            seconds.append(time.perf_counter() - start)
        queue.close()
    remark = f"{len(cells)} cells of {EPOCHS} epochs on SQLite"
    yield Comparison.within("queue and tracking of a cell", np.array(seconds), LIMIT, remark)


def planned(count: int) -> list[PlannedCell]:
    """Cells of four variants."""
    return [
        PlannedCell(
            f"cell {i}", f"variant {i % VARIANTS}", i // VARIANTS, {"f": str(i % VARIANTS)}, f"f{i}", True
        )
        for i in range(count)
    ]


def opened(storage: str, tracking: str, folder: str, cells: list[PlannedCell]) -> tuple[Queue, MlflowTracker]:
    """A study's queue and tracker, made where they do not exist."""
    queue = Queue(storage, "study", cells)
    tracker = MlflowTracker(tracking, Path(folder) / "artifacts", "study")
    tracker.open_study(cells, Subject("?", "knn.top1"))
    return queue, tracker


def cell(queue: Queue, tracker: MlflowTracker, wait: float = 0.0) -> float | None:
    """Take a cell through all that it has beside training.

    Args:
        queue: Where it is claimed.
        tracker: Where it is logged.
        wait: Seconds that stand for its training.

    Returns:
        Seconds of the claim; None where there was no cell to claim.
    """
    start = time.perf_counter()
    claim = queue.claim("worker")
    if claim is None:
        return None
    seconds = time.perf_counter() - start
    tags = {"fingerprint": claim.cell.fingerprint}
    run = tracker.start_cell(claim.cell.variant, claim.cell.seed, {"a": "b"}, tags)
    with claim:
        for epoch in range(EPOCHS):
            time.sleep(wait / EPOCHS)
            run.log_metrics(epoch, {"loss": 1.0, "lr": 0.1})
        queue.finish(claim, 1.0, CellRecord({f"metric.{index}": 1.0 for index in range(30)}))
    run.finish("FINISHED")
    return seconds
