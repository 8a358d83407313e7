"""A damaged SQLite file: what is said helps, whoever meets it, and when."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cmae_ablate.database import sqlite_url
from cmae_ablate.errors import StorageError, UserError
from cmae_ablate.queue import Queue
from cmae_ablate.queue.reading import read_status
from cmae_ablate.queue.storage import Storage
from cmae_ablate.report.cell_record import CellRecord
from tests.queue.harness import plan

REMEDY = (
    "move it aside and give the same `run` again: it makes a new one, and what is finished comes from the "
    "cache without training (imported cells need their --import again)"
)


def cut_short(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])


def write_text(database: Path) -> None:
    database.write_text("no database " * 1000)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    queue = Queue(sqlite_url(tmp_path / "optuna.db"), "study", plan(1, 1))
    claim = queue.claim("tester")
    assert claim is not None
    with claim:
        queue.finish(claim, 1.0, CellRecord())
    queue.close()
    return tmp_path / "optuna.db"


@pytest.mark.parametrize(
    ("damage", "cause"),
    [(cut_short, "database disk image is malformed"), (write_text, "file is not a database")],
)
@pytest.mark.parametrize("use", [Storage, lambda url: read_status(url, "study", plan(1, 1))])
def test_a_damaged_file_is_to_be_moved_aside(
    use: Callable[[str], object], damage: Callable[[Path], None], cause: str, database: Path
) -> None:
    damage(database)
    with pytest.raises(UserError) as caught:
        use(sqlite_url(database))
    assert str(caught.value) == f"{database}: cannot be opened ({cause}); {REMEDY}"


LIMITED = """
import resource, sys
from cmae_ablate.errors import StorageError
from cmae_ablate.queue.storage import Storage
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
try:
    Storage(sys.argv[1])
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_database_that_may_not_grow_is_no_mistake_in_the_url(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, sqlite_url(tmp_path / "optuna.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "cannot be opened (" in done.stdout, done.stderr
    assert "); free some room on its disk, look at your quota and at ulimit -f, and the same" in done.stdout


def test_a_file_that_is_damaged_while_it_is_used_is_to_be_moved_aside_too(database: Path) -> None:
    queue = Queue(sqlite_url(database), "study", plan(1, 1))
    queue.close()
    write_text(database)
    with pytest.raises(StorageError) as caught:
        queue.status()
    assert str(caught.value) == (
        f"sqlite:///{database}: file is not a database; waiting cannot help: {REMEDY}"
    )
