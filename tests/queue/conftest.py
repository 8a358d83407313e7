"""Databases to queue cells in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cmae_ablate.queue import PlannedCell, Queue
from tests.queue.harness import Postgres, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="no PostgreSQL driver here: pip install 'cmae-ablate[cluster]'")
    try:
        with running_server() as server:
            yield server
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that does not exist yet, SQLite unless the test asks for more by `on_both`."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/out/optuna.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


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
