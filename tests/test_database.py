"""URLs of databases: a path is that path again, and no password is ever shown."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient

from cmae_ablate.database import (
    cause_of,
    hide_secrets_of,
    move_aside,
    parse_url,
    redact,
    sqlite_path,
    sqlite_url,
    unreachable,
    without_secrets,
)
from cmae_ablate.errors import UserError
from cmae_ablate.queue import Queue
from cmae_ablate.queue.storage import parse_storage
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.experiment import Places
from cmae_ablate.tracking import MlflowTracker, backend_of, ui_command
from tests.queue.harness import plan

NAMES = [
    "run%41",
    "100%",
    "%2e%2e",
    "a?b",
    "a?mode=memory",
    "a#b",
    "a b",
    " led",
    'it\'s "quoted"',
    "a&b=c",
    "a;b",
    "a:b@c",
    "a+b",
    "[x]",
    "a\\b",
    "~",
    "$HOME",
    "\N{LATIN SMALL LETTER U WITH DIAERESIS}n\N{LATIN SMALL LETTER I WITH DIAERESIS}",
    "\N{CJK UNIFIED IDEOGRAPH-4E2D}",
    "null",
    ":memory:",
    "tab\there",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_database_lies_where_its_path_says_and_nowhere_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / name / "a.db"
    path.parent.mkdir()
    url = sqlite_url(path)
    assert sqlite_path(url) == path
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE it (a INTEGER)"))
    engine.dispose()
    with sqlite3.connect(path) as opened:
        assert opened.execute("SELECT name FROM sqlite_master").fetchall() == [("it",)]
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", ["run%41", "a?b", "it's a [#1]"])
def test_queue_and_runs_of_any_out_are_written_and_read_back_in_it(name: str, tmp_path: Path) -> None:
    out, source = tmp_path / name, tmp_path / "picture.txt"
    source.write_text("content")
    places = Places.below(out)
    queue = Queue(places.storage, "study", plan(1, 1))
    claim = queue.claim("tester")
    assert claim is not None
    queue.finish(claim, 1.0, CellRecord())
    queue.close()
    tracker = MlflowTracker(places.tracking, places.out / "mlartifacts", "study")
    run = tracker.start_cell("linear", 0, {"depth": "1"}, {"fingerprint": "f"})
    run.log_metrics(1, {"loss": 0.5})
    run.log_artifact(source, "pictures")
    run.finish("FINISHED")
    assert {"optuna.db", "mlflow.db", "mlartifacts"} <= {path.name for path in out.iterdir()}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, source.name])
    client = MlflowClient(places.tracking)
    experiment = client.get_experiment_by_name("study")
    assert experiment is not None
    kept = next(run for run in client.search_runs([experiment.experiment_id]) if run.data.metrics)
    assert kept.data.metrics == {"loss": 0.5}
    read = client.download_artifacts(kept.info.run_id, "pictures/picture.txt")
    assert Path(read).read_text() == "content"
    assert [path.read_text() for path in out.glob("mlartifacts/**/picture.txt")] == ["content"]


def test_the_command_that_shows_runs_is_quoted_for_the_shell() -> None:
    command = ui_command(sqlite_url(Path("/tmp/it's 100% #1?/mlflow.db")))
    assert "--backend-store-uri 'sqlite:////tmp/it'\"'\"'s 100%25 #1%3F/mlflow.db' --port" in command


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("SQLite:///%3Amemory%3A", "names no file"),
        ("sqlite:///file:a?mode=memory&cache=shared&uri=true", "names no file"),
        ("sqlite://runs/optuna.db", "names no file"),
        ("http://", "names no host; write http://host:5000"),
        ("https:///path", "names no host; write https://host:5000"),
        ("http://:5000", "names no host"),
        ("https://host:99999", "99999 is no port"),
        ("postgresql://me@host:0/db", "0 is no port"),
        ("postgresql://", "names no database"),
        ("mysql+pymysql://me@", "names no database"),
    ],
)
def test_an_address_that_no_other_process_can_reach_is_told_apart(url: str, fault: str) -> None:
    parsed = parse_url(url)
    assert parsed is not None
    assert fault in unreachable(parsed)
    for check in (parse_storage, lambda url: backend_of(url).check()):
        with pytest.raises(UserError):
            check(url)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////tmp/a.db",
        "sqlite:///beside.db?timeout=30",
        "http://host",
        "HTTPS://[::1]:65535/mlflow",
        "postgresql:///by_socket",
        "postgresql://me@/db?host=/var/run/postgresql",
        "postgresql://host",
        "mssql+pyodbc:///?odbc_connect=driver",
    ],
)
def test_an_address_by_which_a_driver_finds_its_server_or_file_is_taken(url: str) -> None:
    parsed = parse_url(url)
    assert parsed is not None
    assert unreachable(parsed) == ""
    backend_of(url).check()


def test_a_scheme_in_capitals_is_the_same_scheme(tmp_path: Path) -> None:
    database = tmp_path / "Optuna.db"
    queue = Queue(f"SQLite:///{database}", "study", plan(1, 1))
    queue.close()
    assert sqlite_path(f"SQLITE:///{database}") == database
    assert database.is_file()
    assert "hunter2" not in redact("HTTP://hunter2@host:5000")


SECRETS = [
    "postgresql://user:hun?ter2@host/db",
    "postgresql://user:hun ter2@host/db",
    "postgresql://user:hun/ter2@host/db",
    "postgresql://user:hun#ter2@host/db",
    "postgresql://user:hun@ter2@host/db",
    "postgresql://user:hun:ter2@host:5432/db",
    "postgresql://user:hun%3Fter2@host/db",
    "postgresql://user:[hun]ter2@host/db",
    "postgresql://user:hun&ter2@host/db",
    "postgresql://user:hunter2@host:port/db",
    "postgresql://user@host/db?password=hunter2&sslmode=require",
    "postgresql://user@host/db?sslpassword=hunter2",
    "postgresql://user@host/db?options=a&passfile=hunter2",
    "postgresql://hunter2 no url at all",
    "postgresql:user:hunter2@host",
    "http://user:hunter2@host:5000",
    "http://hunter2@host:5000",
    "https://host/path?token=hunter2",
    "https://user:hun?ter2@host/a b",
]


@pytest.mark.parametrize("url", SECRETS)
def test_no_piece_of_a_password_is_shown(url: str) -> None:
    shown = redact(url)
    assert "hun" not in shown
    assert "ter2" not in shown
    assert shown.startswith(url.partition("://")[0]) or shown == "***"
    assert redact(shown) == shown


def test_what_is_no_secret_is_shown() -> None:
    assert redact("postgresql://user:x@host:5432/db?sslmode=require") == (
        "postgresql://user:***@host:5432/db?sslmode=require"
    )
    assert redact("http://host:5000") == "http://host:5000"
    assert redact("sqlite:////runs/a%3Fb@c/optuna.db") == "sqlite:////runs/a%3Fb@c/optuna.db"


@pytest.mark.parametrize("password", ["pa?ss word", "a/b", "x]y", "semi;colon"])
def test_a_known_password_is_left_out_of_what_a_driver_says(password: str) -> None:
    url = sqlalchemy.URL.create("postgresql", "user", password, "host", database="db")
    hide_secrets_of(url.render_as_string(hide_password=False))
    said = cause_of(RuntimeError(f"cannot reach host with {password}, dsn 'user={password}'"))
    assert password not in said
    assert "cannot reach host" in said


def test_no_statement_is_quoted_though_another_error_wraps_the_drivers() -> None:
    said = (
        "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO runs (a) VALUES (?)]\n"
        "[parameters: (1,)]\n(Background on this error at: https://sqlalche.me/e/20/e3q8)"
    )
    assert cause_of(RuntimeError(said)) == "(sqlite3.OperationalError) database or disk is full"


def test_what_looks_like_a_password_is_left_out_of_any_text() -> None:
    assert without_secrets("dsn: host=h password=hunter2 user=u") == "dsn: host=h password=*** user=u"
    assert without_secrets("could not open postgresql://u:a b?c@h/db today") == (
        "could not open postgresql://***@h/db today"
    )


def test_a_journal_is_moved_aside_with_its_database(tmp_path: Path) -> None:
    database = tmp_path / "optuna.db"
    assert move_aside(database) == "move it aside"
    (tmp_path / "optuna.db-journal").touch()
    assert move_aside(database) == "move it and optuna.db-journal aside"
