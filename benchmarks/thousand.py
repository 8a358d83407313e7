"""A study of a thousand cells: planning it, and what queue and tracking take as it fills."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.commands import STUDY, cmae
from benchmarks.setting import Setting
from benchmarks.timing import Comparison
from cmae_ablate.queue import PlannedCell, Queue
from cmae_ablate.tracking import MlflowTracker

CELLS, VARIANTS, EPOCHS = 1000, 4, 10
PLAN_LIMIT, CLAIM_LIMIT, CELL_LIMIT = 10.0, 0.3, 2.0
WIDE = """\
question: How long does it take to plan many variants?
scale: cpu
design: one_factor
factors: {{rate: {{path: training.base_lr, levels: {levels}}}}}
reference: {{rate: r0}}
seeds: 4
metric: linear_probe.top1
"""


def run(setting: Setting) -> Iterator[Comparison]:
    """`plan` of many seeds and of many variants; then every claim of a study that fills up, tracked."""
    count = 20 if setting.quick else CELLS
    with TemporaryDirectory() as folder:
        wide = Path(folder) / "wide.yaml"
        rates = (f"r{index}: {1e-4 + index * 1e-6}" for index in range(count // VARIANTS))
        wide.write_text(WIDE.format(levels=f"{{{', '.join(rates)}}}"))
        seeds = ["--seeds", str(count // VARIANTS)]
        yield _plan(f"plan of {count:,} cells: {VARIANTS} variants", count, [str(STUDY), *seeds])
        yield _plan(f"plan of {count:,} cells: {count // VARIANTS} variants", count, [str(wide)])
        yield from _fill(f"sqlite:///{folder}/optuna.db", f"sqlite:///{folder}/mlflow.db", folder, count)
    from tests.queue.harness import running_server

    with suppress(FileNotFoundError), running_server() as server, TemporaryDirectory() as folder:
        yield from _fill(server.new_database(), server.new_database(), folder, count)


def _plan(name: str, count: int, arguments: list[str]) -> Comparison:
    start = time.perf_counter()
    status = cmae("plan", *arguments)
    seconds = time.perf_counter() - start
    assert status == 0, f"exit status {status}"
    return _against(name, PLAN_LIMIT, np.array([seconds]), "")


@dataclass
class _Seconds:
    claim: list[float] = field(default_factory=list)
    cell: list[float] = field(default_factory=list)


def _fill(storage: str, tracking: str, folder: str, count: int) -> Iterator[Comparison]:
    cells = [
        PlannedCell(
            f"cell {i}", f"variant {i % VARIANTS}", i // VARIANTS, {"f": str(i % VARIANTS)}, f"f{i}", True
        )
        for i in range(count)
    ]
    queue = Queue(storage, "study", cells)
    tracker = MlflowTracker(tracking, Path(folder) / "artifacts", "study")
    tracker.open_study(cells, {"question": "?"})
    took = _Seconds()
    for _ in cells:
        _cell(queue, tracker, took)
    queue.close()
    claims = np.array(took.claim)
    tenth = max(1, count // 10)
    remark = (
        f"every claim of {count:,}; median {np.median(claims[:tenth]) * 1e3:.0f} ms in the first tenth, "
        f"{np.median(claims[-tenth:]) * 1e3:.0f} ms in the last, slowest {claims.max() * 1e3:.0f} ms"
    )
    name = storage.partition(":")[0]
    yield _against(f"a claim on {name}", CLAIM_LIMIT, claims, remark)
    remark = f"{count:,} cells of {EPOCHS} epochs; slowest {max(took.cell):.2f} s"
    yield _against(f"queue and tracking of a cell on {name}", CELL_LIMIT, np.array(took.cell), remark)


def _cell(queue: Queue, tracker: MlflowTracker, took: _Seconds) -> None:
    start = time.perf_counter()
    claim = queue.claim("worker")
    took.claim.append(time.perf_counter() - start)
    assert claim is not None
    cell = claim.cell
    run = tracker.start_cell(cell.variant, cell.seed, {"a": "b"}, {"fingerprint": cell.fingerprint})
    with claim:
        for epoch in range(EPOCHS):
            run.log_metrics(epoch, {"loss": 1.0, "lr": 0.1})
        queue.finish(claim, 1.0, {"metrics": {f"metric.{index}": 1.0 for index in range(30)}})
    run.finish("FINISHED")
    took.cell.append(time.perf_counter() - start)


def _against(name: str, limit: float, seconds: np.ndarray, remark: str) -> Comparison:
    low, ratio, high = (float(value) for value in np.quantile(limit / seconds, [0.25, 0.5, 0.75]))
    return Comparison(
        f"{name}, against the {limit:g} s it may take",
        ratio,
        low,
        high,
        float(np.median(seconds)),
        limit,
        len(seconds),
        target=1.0,
        remark=remark,
    )
