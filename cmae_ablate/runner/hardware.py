"""On what a cell runs, and how much memory it takes there."""

from __future__ import annotations

import ctypes
import gc
import platform
import subprocess
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(frozen=True)
class MemoryWatch:
    """How much memory a piece of work takes, beside what was held when the watch began.

    On a GPU by tensors. On a CPU resident in this process; files that are mapped into it, such as prepared
    data, do not count, as the system may drop them at any time.

    Attributes:
        device: Of this process.
        before: Bytes held at the beginning; None where the system does not tell.
        files: Bytes of mapped files among them.
    """

    device: torch.device
    before: int | None
    files: int = 0

    @classmethod
    def start(cls, device: torch.device) -> MemoryWatch:
        """Begin to watch, once what earlier work left behind is given back."""
        gc.collect()
        if device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            return cls(device, torch.cuda.memory_allocated(device))
        _give_back()
        try:
            _CLEAR.write_text("5")  # the process's peak becomes what it holds now
        except OSError:
            return cls(device, None)  # elsewhere than on Linux the peak is that of the process's whole life
        held = _held()
        return cls(device, held.get("VmRSS"), held.get("RssFile", 0))

    def peak(self) -> int | None:
        """The most bytes held since, beside those before; None where the system does not tell."""
        if self.before is None:
            return None
        if self.device.type == "cuda":
            import torch

            return max(0, torch.cuda.max_memory_allocated(self.device) - self.before)
        held = _held()
        if "VmHWM" not in held:
            return None
        return max(0, held["VmHWM"] - self.before - max(0, held.get("RssFile", 0) - self.files))


def _held() -> dict[str, int]:
    """What the system says of this process's memory, in bytes by name; psutil knows no peak on Linux."""
    try:
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(number) * 1024 for name, number, _ in fields}


def _give_back() -> None:
    """Let the C library return what was freed: kept for later use, it would hide what comes next."""
    with suppress(OSError, AttributeError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)
