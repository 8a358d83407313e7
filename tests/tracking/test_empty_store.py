"""Kept tables are those that MLflow makes; whatever is wrong with them, a store comes to be."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow.store.db.utils
import pytest

from cmae_ablate.database import sqlite_path, sqlite_url
from cmae_ablate.tracking import connection, empty_store


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mlflow"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stores that something else than MLflow, which takes a second each, made in its place."""
    stores: list[str] = []

    def connect(uri: str) -> None:
        stores.append(uri)
        database = sqlite_path(uri)
        assert database is not None
        with closing(sqlite3.connect(database)) as opened:
            opened.executescript(
                "CREATE TABLE experiments (name TEXT); INSERT INTO experiments VALUES ('here');"
                "CREATE TABLE runs (name TEXT); CREATE INDEX by_name ON runs (name);"
                "CREATE TABLE alembic_version (number TEXT); INSERT INTO alembic_version VALUES ('7');"
            )

    monkeypatch.setattr(connection, "connect", connect)
    return stores


def new_store(folder: Path) -> Path:
    folder.mkdir()
    database = folder / "mlflow.db"
    database.touch()
    connection.create_tables(database)
    return database


def names(database: Path) -> list[tuple[str, ...]]:
    """Of every table, index and trigger, and of each table's columns."""
    with closing(sqlite3.connect(database)) as opened:
        found = opened.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()
        tables = [name for kind, name in found if kind == "table"]
        columns = (opened.execute(f'PRAGMA table_info("{table}")').fetchall() for table in tables)
        return [*found, *(tuple(map(str, column)) for each in columns for column in each)]


def version_in(database: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute("SELECT * FROM alembic_version").fetchall()


def test_the_second_store_is_as_the_first_and_takes_no_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = new_store(tmp_path / "first")

    def migrate(engine: object) -> None:
        raise AssertionError(f"{engine} is made by migrations")

    monkeypatch.setattr(mlflow.store.db.utils, "_initialize_tables", migrate)
    second = new_store(tmp_path / "second")
    assert names(second) == names(first)
    assert version_in(second) == version_in(first) != []
    # MLflow's default experiment names the folder in which a store was opened first, not where it was kept.
    monkeypatch.chdir(tmp_path / "second")
    client = connection.connect(sqlite_url(second))
    assert Path(client.get_experiment("0").artifact_location).is_relative_to(tmp_path / "second")
    run = client.create_run("0").info.run_id
    client.log_metric(run, "loss", 0.5)
    assert client.get_run(run).data.metrics == {"loss": 0.5}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("CREATE TABLE runs", "CREATE TABLE rums", 1),
        lambda _: '{"sql": "no SQL"}',
        lambda _: '{"sql": 3}',
        lambda _: "{}",
    ],
    ids=["cut", "changed", "no SQL", "no text", "nothing"],
)
def test_what_is_damaged_is_made_anew_and_kept_again(
    spoil: Callable[[str], str], tmp_path: Path, cache: Path, made: list[str]
) -> None:
    first = new_store(tmp_path / "first")
    (kept,) = cache.iterdir()
    whole = kept.read_text()
    assert spoil(whole) != whole
    kept.write_text(spoil(whole))
    assert names(new_store(tmp_path / "second")) == names(first)
    assert len(made) == 2
    assert kept.read_text() == whole


def test_no_row_that_names_a_folder_is_kept(tmp_path: Path, made: list[str]) -> None:
    new_store(tmp_path / "first")
    second = new_store(tmp_path / "second")
    assert len(made) == 1
    with closing(sqlite3.connect(second)) as opened:
        assert opened.execute("SELECT * FROM experiments").fetchall() == []
    assert version_in(second) == [("7",)]


def test_where_nothing_can_be_kept_each_store_is_made_by_mlflow(
    tmp_path: Path, cache: Path, made: list[str]
) -> None:
    cache.parent.write_text("no folder")
    assert names(new_store(tmp_path / "first")) == names(new_store(tmp_path / "second"))
    assert len(made) == 2


def test_another_version_of_mlflow_has_tables_of_its_own(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new_store(tmp_path / "first")
    monkeypatch.setattr(empty_store, "version", lambda package: f"another {package}")
    new_store(tmp_path / "second")
    assert len(made) == 2
