"""Two ranks that train one cell on one device, as `torchrun` starts them, against one process.

Run:   torchrun --nproc-per-node 2 -m benchmarks.two_ranks BACKEND DEVICE FOLDER     as `make bench-gpu` does
NCCL refuses two ranks on one GPU, as of its version 2; then gloo takes the tensors over the host, which shows
that the ranks' arithmetic is right on a GPU, not how fast NCCL is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import torch
from torch import distributed
from torch.distributed.distributed_c10d import ProcessGroup

from benchmarks.weights import cases
from cmae_ablate.distributed import Ranks
from cmae_ablate.runtime import Runtime
from cmae_ablate.training.loop import pretrain

CASE = "CMAE"
RANKS = 2
SAID = "loss "


@dataclass(frozen=True)
class Outcome:
    """What came of the ranks.

    Attributes:
        difference: Between their last loss and one process's, relative; None where they did not train.
        reason: What they said instead.
    """

    difference: float | None
    reason: str = ""


def two_ranks(backend: str, device: torch.device, seconds: float) -> Outcome:
    """Train the same small cell by two ranks and by one process, on one device.

    Args:
        backend: `nccl` or `gloo`.
        device: Of all of them.
        seconds: After which the ranks are ended.
    """
    module = "benchmarks.two_ranks"
    with TemporaryDirectory() as folder:
        alone = _loss(Runtime(device), Path(folder) / "alone")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(RANKS), "-m", module, backend, device.type, folder]
        done = _within(command, seconds)
    losses = [line.removeprefix(SAID) for line in done.splitlines() if line.startswith(SAID)]
    if losses:
        return Outcome(abs(float(losses[0]) / alone - 1))
    return Outcome(None, _reason(done))


def _within(command: list[str], seconds: float) -> str:
    """What a command and its children say until they end or are ended."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        return started.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        return f"{started.communicate()[0]}\nended after {seconds:.0f} s"


def _reason(output: str) -> str:
    """The line that says most: NCCL's own, the last error, or the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for word in ("Duplicate GPU", "Error"):
        said = [line for line in lines if word in line]
        if said:
            return said[0] if word == "Duplicate GPU" else said[-1]
    return lines[-1] if lines else "the ranks said nothing"


def _loss(runtime: Runtime, folder: Path) -> float:
    spec = cases()[CASE]
    return pretrain(spec, spec["dataset"].prepare(), runtime, folder).history[-1]["loss"]


def main() -> None:
    """One rank."""
    backend, kind, folder = sys.argv[1:]
    # With its number, as all ranks have the same device: torch would give each its own.
    device = torch.device(kind, 0) if kind == "cuda" else torch.device(kind)
    distributed.init_process_group(backend)
    control = cast("ProcessGroup", distributed.new_group(backend="gloo"))
    rank = distributed.get_rank()
    loss = _loss(Runtime(device, ranks=Ranks(rank, RANKS, control)), Path(folder) / "ranks")
    if rank == 0:
        print(f"{SAID}{loss!r}", flush=True)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
