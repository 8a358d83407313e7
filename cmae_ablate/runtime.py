"""Where a trial computes, and the random streams it draws from. Nothing here changes a result."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

import torch

from cmae_ablate.distributed import Ranks
from cmae_ablate.errors import UserError

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["fp32", "tf32", "bf16"]


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

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
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
        import torch._dynamo  # takes a second

        torch.compiler.reset()
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        return cast("nn.Module", torch.compile(module, dynamic=False))

    def autocast(self) -> AbstractContextManager[object]:
        """Autocast to bf16 where the precision says so; parameters and losses stay fp32."""
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def pick_device(wish: str) -> torch.device:
    """Resolve `auto`, `cpu` or `cuda`.

    Raises:
        UserError: CUDA was asked for and there is none.
    """
    if wish == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is visible to torch; use --device cpu or auto")
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wish)


def set_threads(threads: int) -> None:
    """Fix the CPU threads of this process: the order of floating-point sums depends on them."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def set_precision(runtime: Runtime) -> None:
    """Let the matrix products of this process be those of the runtime's precision, backward passes included.

    With bf16 what autocast leaves in fp32, such as contrastive logits, stays exact.
    """
    if runtime.device.type == "cuda":
        torch.set_float32_matmul_precision("high" if runtime.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = runtime.precision == "tf32"


def gpu_names() -> list[str]:
    """What `CUDA_VISIBLE_DEVICES` must be for a child to have each GPU of this process alone.

    A scheduler's list holds numbers, UUIDs or MIG names: CUDA counts within it, up to the first that is not
    there.
    """
    count = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(index) for index in range(count)]
    return [name.strip() for name in listed.split(",")][:count]


def worker_count(device: torch.device, threads: int) -> int:
    """How many cells a machine trains side by side: one a GPU, or as many as its cores bear."""
    if device.type == "cuda":
        return torch.cuda.device_count()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def stream_seed(seed: int, *name: object) -> int:
    """A 63-bit seed for the stream called `name`, such as `("masking", epoch, step, view)`."""
    digest = hashlib.sha256(repr((seed, *name)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *name: object) -> torch.Generator:
    """A CPU generator of its own for each name: adding a component draws from no other's stream."""
    return torch.Generator().manual_seed(stream_seed(seed, *name))


@contextmanager
def seeded(seed: int, *name: object) -> Iterator[None]:
    """Let torch's global generator be the named stream inside the block, and as it was after it.

    For code that knows only the global generator: initialisation of modules, dropout, drop path.
    """
    # Asking a GPU that nothing was computed on yet would open it, in processes that plan or start others.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(stream_seed(seed, *name))
        yield
