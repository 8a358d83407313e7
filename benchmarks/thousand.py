"""A study of a thousand cells: planning it, and what queue and tracking take as it fills."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import overhead
from benchmarks.commands import STUDY, cmae
from benchmarks.overhead import VARIANTS
from benchmarks.setting import Setting
from benchmarks.timing import Comparison

CELLS = 1000
PLAN_LIMIT, CLAIM_LIMIT = 10.0, 0.3
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
    return Comparison.within(name, np.array([seconds]), PLAN_LIMIT)


def _fill(storage: str, tracking: str, folder: str, count: int) -> Iterator[Comparison]:
    cells = overhead.planned(count)
    queue, tracker = overhead.opened(storage, tracking, folder, cells)
    claims, seconds = np.empty(count), np.empty(count)
    for index in range(count):
        start = time.perf_counter()
        claims[index] = overhead.cell(queue, tracker)
        seconds[index] = time.perf_counter() - start
    queue.close()
    tenth = max(1, count // 10)
    remark = (
        f"every claim of {count:,}; median {np.median(claims[:tenth]) * 1e3:.0f} ms in the first tenth, "
        f"{np.median(claims[-tenth:]) * 1e3:.0f} ms in the last, slowest {claims.max() * 1e3:.0f} ms"
    )
    name = storage.partition(":")[0]
    yield Comparison.within(f"a claim on {name}", claims, CLAIM_LIMIT, remark)
    remark = f"{count:,} cells of {overhead.EPOCHS} epochs; slowest {seconds.max():.2f} s"
    yield Comparison.within(f"queue and tracking of a cell on {name}", seconds, overhead.LIMIT, remark)
