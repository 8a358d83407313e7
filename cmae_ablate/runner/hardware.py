"""On what a cell runs, and how much memory it takes there."""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def device_name(device: torch.device, count: int = 1) -> str:
    """The GPU's name, or the processor's: what timings of two cells must share to be compared.

    Args:
        device: Of this process.
        count: How many processes have one like it and share the work.
    """
    if device.type == "cuda":
        import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu: {processor()}"
    return name if count == 1 else f"{count} x {name}"


def gpu_titles() -> str:
    """Told by the driver's own program: torch would open a GPU that this process does not compute on."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return "cuda"
    return ", ".join(dict.fromkeys(line.strip() for line in told.splitlines()))


@cache
def processor() -> str:
    """The processor's model and the vector instructions that torch uses on it, as far as they are told.

    Two processors of one name here add floating-point numbers up in the same order.
    """
    model = processor_model()
    if model in (platform.processor(), platform.machine()):
        return model
    import torch

    return f"{model} {torch.backends.cpu.get_cpu_capability()}"


@cache
def processor_model() -> str:
    """The processor's name and numbers, as far as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    # Of the first core; virtual machines hide the model's name but not its numbers.
    told = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))
    }
    if "model name" not in told:
        return platform.processor() or platform.machine()
    numbers = "/".join(told.get(name, "?") for name in ("cpu family", "model", "stepping"))
    return f"{told['model name']} {numbers}"


def watch_memory(device: torch.device) -> None:
    """From now on, `peak_memory` counts anew."""
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # elsewhere than on Linux the peak is that of the process's whole life
        _CLEAR.write_text("5")  # the process's peak becomes what it holds now


def peak_memory(device: torch.device) -> int | None:
    """The most bytes held since `watch_memory`: on a GPU by tensors, on a CPU resident in the process.

    Returns:
        None where the system does not tell.
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    try:
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return peaks[0] if peaks else None
