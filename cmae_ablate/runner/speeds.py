"""How fast this machine is at a study's work: as an earlier plan timed it, or timed now."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cmae_ablate.report.wording import counted
from cmae_ablate.runner.hardware import gpu_titles, processor_model
from cmae_ablate.runner.hours import Speed, Workload, kinds_to_time, spread
from cmae_ablate.runner.kept import Kept

MOST_SECONDS = 86400.0
"""How old a timing may be: a machine gets other drivers, other cooling, other company."""


@dataclass(frozen=True)
class Machine:
    """Where cells will run, as far as their speed depends on it.

    Attributes:
        device: `cpu` or `cuda`.
        threads: CPU threads a cell.
        workers: Processes that train side by side and share the CPU; 1 on a GPU.
    """

    device: str
    threads: int
    workers: int

    def identity(self) -> list[Any]:
        """What names its timings: device, processor and cores."""
        name = gpu_titles() if self.device == "cuda" else processor_model()
        return [name, len(os.sched_getaffinity(0)), self.threads, self.workers]


def speeds(workloads: Sequence[Workload], machine: Machine, kept: Kept) -> tuple[list[Speed], str]:
    """The speed of each workload, and the machine in words.

    Args:
        workloads: The study's variants; precision and compilation are each workload's own.
        machine: Where they will run.
        kept: What earlier plans have timed; gets what is timed now.
    """
    chosen, where = kinds_to_time(workloads), machine.identity()
    precision = chosen[-1].spec.training.precision
    keys: dict[Hashable, Any] = {each.kind: [where, str(each.kind)] for each in chosen}
    known = {kind: kept.find("speeds", key) for kind, key in keys.items()}
    gemm = kept.find("speeds", [where, precision])
    if gemm is not None and all(_is_fresh(record) for record in (gemm, *known.values())):
        found = {kind: Speed(**record["speed"]) for kind, record in known.items()}
        when = datetime.fromtimestamp(min(record["when"] for record in known.values()))
        since = f", timed {when:%Y-%m-%d %H:%M}"
    else:
        gemm, found = _timed(chosen, machine, precision)
        for kind, speed in found.items():
            kept.keep("speeds", keys[kind], {"speed": asdict(speed), "when": time.time()})
        kept.keep("speeds", [where, precision], gemm)
        since = ""
    told = f"{gemm['matmul'] / 1e9:,.0f} GFLOP/s in {precision} at best{since}"
    return spread(
        workloads, found, chosen
    ), f"this {machine.device} with {counted(machine.threads, 'thread')} a cell, {told}"


def _timed(
    chosen: Sequence[Workload], machine: Machine, precision: str
) -> tuple[dict[str, float], dict[Hashable, Speed]]:
    from cmae_ablate.runner.launch.local import keep_memory
    from cmae_ablate.runner.timing import time_kinds
    from cmae_ablate.runtime import Runtime, pick_device, set_precision, set_threads
    from cmae_ablate.training.cost import matmul_speed

    keep_memory()
    set_threads(machine.threads if machine.device == "cpu" else 1)
    runtime = Runtime(pick_device(machine.device))
    own = Runtime(runtime.device, chosen[-1].spec.training.precision)
    set_precision(own)
    matmul = matmul_speed(own)
    found = time_kinds(chosen, matmul, runtime, machine.workers)
    return {"matmul": matmul, "when": time.time()}, found


def _is_fresh(record: Mapping[str, Any] | None) -> bool:
    return record is not None and 0 <= time.time() - record["when"] < MOST_SECONDS
