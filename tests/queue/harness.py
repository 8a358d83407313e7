"""Cells without any training, other processes that work on them, and a database server."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cmae_ablate.queue import PlannedCell

on_both = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
WORKER = Path(__file__).with_name("instant_worker.py")


def plan(variants: int, seeds: int, settings: str = "") -> list[PlannedCell]:
    """Cells in seed-major order; `settings` stands for whatever else the fingerprint covers."""
    return [
        PlannedCell(
            id=f"depth {depth}:{seed}:{settings}",
            variant=f"depth {depth}",
            seed=seed,
            levels={"decoder": f"depth {depth}"},
            fingerprint=f"fp-{depth}-{seed}{settings}",
        )
        for seed in range(seeds)
        for depth in range(variants)
    ]


@dataclass(frozen=True)
class Postgres:
    """A server of our own on the loopback."""

    url: str
    control: tuple[str, ...]

    def restart(self) -> None:
        subprocess.run([*self.control, "-m", "immediate", "restart"], check=True, capture_output=True)


def start_worker(url: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that works on the queue; see `instant_worker`."""
    command = [sys.executable, str(WORKER), url, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(WORKER.parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
