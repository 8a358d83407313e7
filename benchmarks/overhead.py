"""Queue and tracking beside training: seconds a cell that are not training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.setting import Setting
from benchmarks.timing import Comparison
from cmae_ablate.queue import PlannedCell, Queue
from cmae_ablate.tracking import MlflowTracker

CELLS, EPOCHS = 60, 10
LIMIT = 2.0


def run(setting: Setting) -> Iterator[Comparison]:
    """Claim, track ten epochs, finish: again and again on SQLite."""
    count = 4 if setting.quick else CELLS
    cells = [
        PlannedCell(
            f"cell {index}", f"variant {index % 4}", index // 4, {"factor": str(index % 4)}, "f", True
        )
        for index in range(count)
    ]
    seconds = []
    with TemporaryDirectory() as folder:
        root = Path(folder)
        queue = Queue(f"sqlite:///{root / 'optuna.db'}", "study", cells)
        tracker = MlflowTracker(f"sqlite:///{root / 'mlflow.db'}", root / "artifacts", "study")
        tracker.open_study(cells, {"question": "?"})
        for _ in cells:
            start = time.perf_counter()
            claim = queue.claim("worker")
            assert claim is not None
            run = tracker.start_cell(claim.cell.variant, claim.cell.seed, {"a": "b"}, {})
            with claim:
                for epoch in range(EPOCHS):
                    run.log_metrics(epoch, {"loss": 1.0, "lr": 0.1})
                queue.finish(claim, 1.0, {"metrics": {"knn.top1": 1.0}})
            run.finish("FINISHED")
            seconds.append(time.perf_counter() - start)
        queue.close()
    ordered = sorted(LIMIT / value for value in seconds)
    own = sum(seconds) / len(seconds)
    yield Comparison(
        f"queue and tracking, against the {LIMIT:g} s a cell they may take",
        ordered[len(ordered) // 2],
        ordered[len(ordered) // 4],
        ordered[3 * len(ordered) // 4],
        own,
        LIMIT,
        count,
        target=1.0,
        remark=f"{count} cells of {EPOCHS} epochs on SQLite",
    )
