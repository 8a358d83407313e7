"""Databases to queue cells in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cmae_ablate.queue import PlannedCell, Queue
from tests.queue.harness import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="no PostgreSQL driver here: pip install 'cmae-ablate[cluster]'")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="cmae-pg-"))
    as_user: tuple[str, ...] = ()
    if os.getuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ("runuser", "-u", "postgres", "--")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, binary = folder / "data", programs[-1]
    initdb = [*as_user, str(binary / "initdb"), "-D", str(data), "-A", "trust", "-U", "cmae", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/")
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
    control = (
        *as_user,
        str(binary / "pg_ctl"),
        "-D",
        str(data),
        "-w",
        "-l",
        str(folder / "log"),
        "-o",
        options,
    )
    subprocess.run([*control, "start"], check=True, capture_output=True, cwd="/")
    yield Postgres(f"postgresql://cmae:s3cret@127.0.0.1:{port}", control)
    subprocess.run([*control, "-m", "fast", "stop"], check=True, capture_output=True, cwd="/")
    shutil.rmtree(folder)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that does not exist yet, SQLite unless the test asks for more by `on_both`."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/out/optuna.db"
    server: Postgres = request.getfixturevalue("postgres")
    import psycopg

    name = f"study_{os.urandom(6).hex()}"
    with psycopg.connect(f"{server.url}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server.url}/{name}"


@pytest.fixture
def open_queue(url: str) -> Iterator[Callable[..., Queue]]:
    """Opens queues on one new store and closes them afterwards."""
    queues: list[Queue] = []

    def opened(cells: list[PlannedCell], **options: object) -> Queue:
        queues.append(Queue(url, "decoder_size", cells, **options))  # type: ignore[arg-type]
        return queues[-1]

    yield opened
    for queue in queues:
        queue.close()
