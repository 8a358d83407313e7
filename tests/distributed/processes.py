"""Ranks as processes of this machine, as torchrun would start them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import torch
from torch import multiprocessing

from cmae_ablate.distributed import Ranks, joined

Work = Callable[[Ranks, Path], None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(work: Work, folder: Path, count: int) -> list[int | None]:
    """Run `work` on `count` ranks, each to its own end; their exit statuses."""
    context, port = multiprocessing.get_context("spawn"), free_port()
    ranks = [
        context.Process(target=_enter, args=(rank, work, str(folder), count, port)) for rank in range(count)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return [process.exitcode for process in ranks]


def _enter(rank: int, work: Work, folder: str, count: int, port: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined(torch.device("cpu")) as ranks:
        work(ranks, Path(folder))
