"""Cells without any training, other processes that work on them, and a database server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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

    def new_database(self) -> str:
        """The URL of a database that is empty."""
        import psycopg

        name = f"study_{os.urandom(6).hex()}"
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{self.url}/{name}"

    def connections(self) -> int:
        """Those that clients hold open now, beside the one that asks."""
        import psycopg

        query = "SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
        with psycopg.connect(f"{self.url}/postgres") as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def server_programs() -> Path | None:
    """The folder of PostgreSQL's programs, newest version; None where they are not installed."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def running_server(max_connections: int = 100) -> Iterator[Postgres]:
    """A PostgreSQL server in a folder of its own, gone afterwards.

    Args:
        max_connections: How many it accepts; PostgreSQL's own default.

    Raises:
        FileNotFoundError: The programs are not installed.
    """
    binary = server_programs()
    if binary is None:
        raise FileNotFoundError("no PostgreSQL server here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="cmae-pg-"))
    as_user: tuple[str, ...] = ()
    if os.getuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ("runuser", "-u", "postgres", "--")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    initdb = [*as_user, str(binary / "initdb"), "-D", str(data), "-A", "trust", "-U", "cmae", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/")
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections={max_connections}"
    program, log = str(binary / "pg_ctl"), str(folder / "log")
    control = (*as_user, program, "-D", str(data), "-w", "-l", log, "-o", options)
    subprocess.run([*control, "start"], check=True, capture_output=True, cwd="/")
    try:
        yield Postgres(f"postgresql://cmae:s3cret@127.0.0.1:{port}", control)
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], check=True, capture_output=True, cwd="/")
        shutil.rmtree(folder)


def start_worker(url: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that works on the queue; see `instant_worker`."""
    command = [sys.executable, str(WORKER), url, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(WORKER.parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
