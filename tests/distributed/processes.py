"""Ranks as processes of this machine, as torchrun would start them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import torch
from torch import multiprocessing

from cmae_ablate.ranks import Ranks, joined

Work = Callable[[Ranks, Path], None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(work: Work, folder: Path, count: int) -> None:
    """Run `work` on `count` ranks and wait for them; raises what one of them raised."""
    multiprocessing.spawn(_enter, args=(work, str(folder), count, free_port()), nprocs=count)


def _enter(rank: int, work: Work, folder: str, count: int, port: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined(torch.device("cpu")) as ranks:
        work(ranks, Path(folder))
