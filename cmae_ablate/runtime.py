"""Where a trial computes, and the random streams it draws from. Nothing here changes a result."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from cmae_ablate.distributed import Ranks
from cmae_ablate.errors import UserError

if TYPE_CHECKING:
    import torch  # imported where it is used: who only reads a study's state must not wait for it
    from torch import nn

Precision = Literal["fp32", "tf32", "bf16"]


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


@dataclass(frozen=True)
class Runtime:
    """Device, precision and processes of one cell.

    Attributes:
        device: Where tensors live.
        precision: `fp32`; `tf32`, whose matrix products on a GPU round their inputs to 10 bits and which
            is fp32 on a CPU; or `bf16` for autocast. A trial's scale decides.
        compile: Whether the training step is compiled.
        ranks: The processes that train the cell together.
    """

    device: torch.device = field(default_factory=_cpu)
    precision: Precision = "fp32"
    compile: bool = False
    ranks: Ranks = field(default_factory=Ranks, compare=False)

    def compiled(self, module: nn.Module) -> nn.Module:
        """The module, compiled where the runtime says so.

        torch compiles a function for eight modules and then silently leaves the ninth plain: what it
        compiled for the trials before is forgotten here, and more than eight graphs of one are an error.
        """
        if not self.compile:
            return module
        import torch
        import torch._dynamo  # takes a second

        torch.compiler.reset()
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        return cast("nn.Module", torch.compile(module, dynamic=False))

    def autocast(self) -> AbstractContextManager[object]:
        """Autocast to bf16 where the precision says so; parameters and losses stay fp32."""
        if self.precision != "bf16":
            return nullcontext()
        import torch

        return torch.autocast(self.device.type, dtype=torch.bfloat16)


_NO_GPU = "--device cuda: no CUDA device is visible to torch; use --device cpu or auto"
_GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""Where a process on Linux can reach a GPU one of these is there: NVIDIA's, AMD's, that of WSL's host."""


def may_have_gpu() -> bool:
    """False only where torch, were it imported, could find no GPU."""
    return "torch" in sys.modules or sys.platform != "linux" or any(map(os.path.exists, _GPU_FILES))


def pick_device(wish: str) -> torch.device:
    """Resolve `auto`, `cpu` or `cuda`.

    Raises:
        UserError: CUDA was asked for and there is none.
    """
    if wish == "cuda" and not may_have_gpu():
        raise UserError(_NO_GPU)
    import torch

    if wish == "cuda" and not torch.cuda.is_available():
        raise UserError(_NO_GPU)
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wish)


def set_threads(threads: int) -> None:
    """Fix the CPU threads of this process: the order of floating-point sums depends on them."""
    import torch

    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def set_precision(runtime: Runtime) -> None:
    """Let the matrix products of this process be those of the runtime's precision, backward passes included.

    With bf16 what autocast leaves in fp32, such as contrastive logits, stays exact.
    """
    import torch

    if runtime.device.type == "cuda":
        torch.set_float32_matmul_precision("high" if runtime.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = runtime.precision == "tf32"


def device_type(wish: str) -> str:
    """As `pick_device`, the kind alone, `cpu` or `cuda`: torch is asked only where there may be a GPU.

    Raises:
        UserError: CUDA was asked for and there is none.
    """
    return "cpu" if wish == "cpu" or (wish == "auto" and not may_have_gpu()) else pick_device(wish).type


def gpu_names() -> list[str]:
    """What `CUDA_VISIBLE_DEVICES` must be for a child to have each GPU of this process alone.

    A scheduler's list holds numbers, UUIDs or MIG names: CUDA counts within it, up to the first that is not
    there.
    """
    import torch

    count = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(index) for index in range(count)]
    return [name.strip() for name in listed.split(",")][:count]


def worker_count(device: torch.device, threads: int) -> int:
    """How many cells a machine trains side by side: one a GPU, or as many as its cores bear."""
    if device.type == "cuda":
        import torch

        return torch.cuda.device_count()
    return cpu_workers(threads)


def cpu_workers(threads: int) -> int:
    """How many cells of so many threads this process's cores bear."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def stream_seed(seed: int, *name: object) -> int:
    """A 63-bit seed for the stream called `name`, such as `("masking", epoch, step, view)`."""
    digest = hashlib.sha256(repr((seed, *name)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *name: object) -> torch.Generator:
    """A CPU generator of its own for each name: adding a component draws from no other's stream."""
    import torch

    return torch.Generator().manual_seed(stream_seed(seed, *name))


@contextmanager
def seeded(seed: int, *name: object) -> Iterator[None]:
    """Let torch's global generator be the named stream inside the block, and as it was after it.

    For code that knows only the global generator: initialisation of modules, dropout, drop path.
    """
    import torch

    # Asking a GPU that nothing was computed on yet would open it, in processes that plan or start others.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(stream_seed(seed, *name))
        yield
