"""What the pages of results have in common: the machine, and a row of a table."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.timing import Comparison
from cmae_ablate.runner.hardware import device_name
from cmae_ablate.runtime import Runtime
from cmae_ablate.training.cost import matmul_speed

PACKAGES = ("torch", "torchvision", "transformers", "pillow", "numpy")


def machine(device: torch.device) -> dict[str, str]:
    """Where it was measured, and the speed of a large matrix product there in the same run."""
    where = f"{torch.get_num_threads()} thread" if device.type == "cpu" else "the GPU"
    speed = f"{matmul_speed(Runtime(device)) / 1e9:,.0f} GFLOP/s fp32 on {where}"
    versions = ", ".join(f"{package} {_version(package)}" for package in PACKAGES)
    return {
        "processor": device_name(device),
        "cores": str(len(os.sched_getaffinity(0))),
        "matrix product": speed,
        "python": platform.python_version(),
        "versions": versions,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def reason(error: Exception) -> str:
    """What an error says, in one line that fits into a table."""
    return f"{type(error).__name__}: {error}".splitlines()[0].replace("|", "/")[:300]


def result_line(row: Comparison) -> str:
    """A row of the table."""
    more = {", at most {:g}": row.most, ", first quartile {:g}": row.least_low}
    asked = "".join(words.format(value) for words, value in more.items() if value)
    target = "" if row.target is None else f"{row.target:.3g}{asked}"
    remark = "; ".join(text for text in (row.verdict, row.remark) if text)
    return (
        f"| {row.name} | {row.ratio:.3g} | {row.low:.3g} to {row.high:.3g} | {_time(row.own_seconds)} | "
        f"{_time(row.reference_seconds)} | {row.rounds} | {target} | {remark} |"
    )


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
