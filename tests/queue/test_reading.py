"""Where cells stand, for who only looks: as the queue itself says, and nothing is made for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from cmae_ablate.errors import UserError
from cmae_ablate.queue import Queue, read_status
from cmae_ablate.report.cell_record import CellRecord
from tests.queue.harness import on_both, plan

Open = Callable[..., Queue]


def test_a_database_that_is_not_there_has_no_cell_begun_and_is_not_made(tmp_path: Path) -> None:
    cells, database = plan(variants=2, seeds=1), tmp_path / "optuna.db"
    for _ in ("nothing", "an empty file"):
        found = read_status(f"sqlite:///{database}", "decoder_size", cells)
        assert [status.state for status in found] == ["WAITING", "WAITING"]
        database.touch(exist_ok=True)
    assert database.stat().st_size == 0
    assert list(tmp_path.iterdir()) == [database]


@on_both
def test_who_only_looks_sees_what_the_queue_sees(open_queue: Open, url: str) -> None:
    cells = plan(variants=4, seeds=1)
    queue = open_queue(cells)
    claims = [queue.claim("worker") for _ in range(3)]
    assert all(claims)
    first, second, _ = claims
    assert first is not None
    assert second is not None
    queue.finish(first, 1.5, CellRecord({"knn.top1": 1.5}))
    queue.fail(second, "no such luck", final=True)
    own, read = queue.status(), read_status(url, "decoder_size", cells)
    assert [each.state for each in read] == ["COMPLETE", "FAILED", "RUNNING", "WAITING"]
    for ours, theirs in zip(own, read, strict=True):
        assert (ours.state, ours.value, ours.reason, ours.trial, ours.record) == (
            theirs.state,
            theirs.value,
            theirs.reason,
            theirs.trial,
            theirs.record,
        )


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_text("no database " * 1000)
    with pytest.raises(UserError, match=r"cannot be opened \(file is not a database\)"):
        read_status(f"sqlite:///{tmp_path}/optuna.db", "decoder_size", plan(variants=1, seeds=1))


def test_a_database_of_this_very_optuna_is_opened_without_reading_its_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cells = f"sqlite:///{tmp_path}/optuna.db", plan(variants=1, seeds=1)
    Queue(url, "decoder_size", cells).close()
    monkeypatch.setattr(ScriptDirectory, "from_config", lambda *_: pytest.fail("migrations were read"))
    assert [status.state for status in read_status(url, "decoder_size", cells)] == ["WAITING"]
    Queue(url, "decoder_size", cells).close()


def test_a_database_of_another_optuna_is_refused_where_its_tables_are_others(tmp_path: Path) -> None:
    url, cells = f"sqlite:///{tmp_path}/optuna.db", plan(variants=1, seeds=1)
    Queue(url, "decoder_size", cells).close()
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database, database:
        database.execute("UPDATE version_info SET library_version = '9.0.0'")
    # Another version whose tables are the same is as good as this one.
    assert [status.state for status in read_status(url, "decoder_size", cells)] == ["WAITING"]
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'v9.0.0.a'")
    with pytest.raises(UserError, match="written by another Optuna version"):
        read_status(url, "decoder_size", cells)
    with pytest.raises(UserError, match="written by another Optuna version"):
        Queue(url, "decoder_size", cells)
