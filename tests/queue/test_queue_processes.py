"""Several processes, killed and disturbed ones among them."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from cmae_ablate.queue import Queue, StorageError
from cmae_ablate.queue.storage import is_permanent
from cmae_ablate.report.cell_record import CellRecord
from tests.queue.harness import Postgres, on_both, plan, start_worker

pytestmark = pytest.mark.distributed


@on_both
@pytest.mark.parametrize(
    ("seeds", "repeat"),
    [(1, 0), *(pytest.param(3, repeat, marks=pytest.mark.slow) for repeat in range(10))],
)
def test_three_workers_on_a_new_store_share_the_cells_without_a_double(
    url: str, open_queue: Callable[..., Queue], seeds: int, repeat: int
) -> None:
    workers = [start_worker(url, "drain", "20", str(seeds)) for _ in range(3)]
    outputs = [worker.communicate(timeout=600)[0].splitlines() for worker in workers]
    claims = Counter(line for output in outputs for line in output)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert claims == {cell.id: 1 for cell in plan(20, seeds)}
    assert {status.state for status in open_queue(plan(20, seeds)).status()} == {"COMPLETE"}


@on_both
def test_the_lease_of_a_killed_process_is_free_at_once(url: str, open_queue: Callable[..., Queue]) -> None:
    worker = start_worker(url, "hold", "1", "1")
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == "depth 0:0:"
    queue = open_queue(plan(1, 1), max_attempts=1)
    assert queue.claim("tester") is None
    worker.send_signal(signal.SIGKILL)  # not waited for: a zombie is dead, too
    deadline = time.monotonic() + 5
    while (claim := queue.claim("tester")) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    worker.communicate()
    assert claim is not None
    assert claim.attempt == 1


def test_a_locked_database_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmae_ablate.queue.storage.SQLITE_BUSY_SECONDS", 0)
    queue = Queue(f"sqlite:///{tmp_path}/optuna.db", "decoder_size", plan(1, 1))
    intruder = sqlite3.connect(tmp_path / "optuna.db", isolation_level=None, check_same_thread=False)
    intruder.execute("BEGIN EXCLUSIVE")
    threading.Timer(1.0, intruder.execute, ["COMMIT"]).start()
    started = time.monotonic()
    claim = queue.claim("tester")
    waited = time.monotonic() - started
    queue.close()
    intruder.close()
    assert claim is not None
    assert waited > 0.9


def test_a_database_that_stays_locked_is_named_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmae_ablate.queue.storage.SQLITE_BUSY_SECONDS", 0)
    queue = Queue(f"sqlite:///{tmp_path}/optuna.db", "decoder_size", plan(1, 1), outage_seconds=0.3)
    intruder = sqlite3.connect(tmp_path / "optuna.db", isolation_level=None)
    intruder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="database is locked"):
        queue.claim("tester")
    intruder.close()
    queue.close()


def test_a_lease_outlives_a_restart_of_the_database(
    postgres: Postgres, request: pytest.FixtureRequest
) -> None:
    queue = Queue(f"{postgres.url}/postgres", "restarted", plan(1, 1), lease_seconds=0.6)
    claim = queue.claim("tester")
    assert claim is not None
    request.addfinalizer(queue.close)
    with claim:
        postgres.restart()
        time.sleep(0.5)
        (before,) = queue.status()
        assert before.state == "RUNNING"
        assert not claim.lost
        assert queue.finish(claim, 1.0, CellRecord())


def test_a_database_that_may_not_be_opened_is_not_waited_for(tmp_path: Path) -> None:
    queue = Queue(f"sqlite:///{tmp_path}/out/optuna.db", "decoder_size", plan(1, 1), outage_seconds=600)
    queue.close()
    (tmp_path / "out" / "optuna.db").unlink()
    (tmp_path / "out" / "optuna.db").mkdir()
    begin = time.monotonic()
    with pytest.raises(StorageError, match=r"optuna\.db: unable to open database file; waiting cannot help"):
        queue.status()
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("words", "is_for_ever"),
    [
        ("attempt to write a readonly database", True),
        ('FATAL:  password authentication failed for user "cmae"', True),
        ('FATAL:  database "study" does not exist', True),
        ("permission denied for table trials", True),
        ("database is locked", False),
        ("server closed the connection unexpectedly", False),
        ("the database system is starting up", False),
        ("database or disk is full", False),
    ],
)
def test_only_what_can_pass_is_waited_for(words: str, is_for_ever: bool) -> None:
    assert is_permanent(OperationalError("SELECT 1", {}, Exception(words))) == is_for_ever
