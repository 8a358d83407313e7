"""Reaching an MLflow store: quietly, safely from several processes at once, without long hangs."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cmae_ablate.database import hide_secrets_of, parse_url, redact, sqlite_url, unreachable
from cmae_ablate.errors import UserError
from cmae_ablate.tracking import empty_store

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# Set before MLflow is imported. A server that is away should be known to be so within seconds.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
UI_PORT = 5000
UI_ADDRESS = f"http://127.0.0.1:{UI_PORT}"
_DATABASES = {
    "sqlite": "sqlite:////path/mlflow.db",
    "postgresql": "postgresql://user@host/database",
    "mysql": "mysql+pymysql://user@host/database",
    "mssql": "mssql+pyodbc://user@host/database",
}
_SERVERS = {"http": "http://host:5000", "https": "https://host", "databricks": "databricks"}
"""What MLflow opens by scheme, each with an example."""


def check_uri(uri: str) -> None:
    """Refuse what cannot be an MLflow store.

    Raises:
        UserError: A file store, no URI at all, or one of nothing that other processes reach.
    """
    hide_secrets_of(uri)
    parsed, is_known = parse_url(uri), _is_database(uri) or _scheme(uri) in _SERVERS
    if not is_known or (parsed is None and uri != _SERVERS["databricks"]):
        *known, last = (*_DATABASES.values(), *_SERVERS.values())
        raise UserError(
            f"--tracking-uri {redact(uri)}: no MLflow store (folders are refused by MLflow itself); "
            f"write one like {', '.join(known)} or {last}"
        )
    if parsed is not None and (fault := unreachable(parsed)):
        raise UserError(f"--tracking-uri {redact(uri)}: {fault}")


def load_mlflow(uri: str) -> None:
    """Import what a client of such a store needs, by our settings; nothing is opened."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _quiet():
        import mlflow.tracking

        if _is_database(uri):
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def connect(uri: str) -> MlflowClient:
    """A client whose store is known to answer; its tables are created where they do not exist.

    Not safe from several processes at once on a new store: hold a lock.

    Raises:
        Exception: Whatever MLflow, SQLAlchemy or the network says.
    """
    load_mlflow(uri)
    with _quiet():
        from mlflow.tracking import MlflowClient

        if _is_database(uri):
            _knock(uri)
        with _no_stray_folders():
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
    return client


@contextmanager
def _no_stray_folders() -> Iterator[None]:
    """Keep MLflow from creating the folder of an SQLite file, which is there already.

    It takes the quoted name in the URL for the folder's: beside `run%41` there would be an empty `run%2541`,
    or an error where that may not be created.
    """
    from mlflow.store.db import utils

    name = "_make_parent_dirs_if_sqlite"
    before = getattr(utils, name, None)
    if before is None:
        yield
        return
    setattr(utils, name, lambda uri: None)
    try:
        yield
    finally:
        setattr(utils, name, before)


def _scheme(uri: str) -> str:
    """Without the driver that may follow it."""
    return uri.partition(":")[0].partition("+")[0]


def _is_database(uri: str) -> bool:
    return _scheme(uri) in _DATABASES


def create_tables(database: Path) -> None:
    """Make an SQLite file with MLflow's tables: all of them, or none where the process is killed meanwhile.

    MLflow applies dozens of migrations one by one, and a store that has only some of them never opens again.
    Not safe from several processes at once: hold a lock.
    """
    if database.exists() and database.stat().st_size:
        return
    aside = database.with_name(f"{database.name}.new")
    aside.unlink(missing_ok=True)
    try:
        os.close(os.open(aside, os.O_CREAT | os.O_WRONLY, 0o600))
        if not empty_store.restore(aside):
            connect(sqlite_url(aside))
            empty_store.keep(aside)
        os.replace(aside, database)
    finally:
        aside.unlink(missing_ok=True)


def ui_command(uri: str) -> str:
    """What to type to look at the runs: a command for a database, the address of a server.

    Passwords are left out and must be filled in.
    """
    if uri.startswith("http"):
        return redact(uri)
    beside = Path(sys.executable).with_name("mlflow")
    on_path = shutil.which("mlflow")
    if on_path is not None and Path(on_path).resolve() == beside.resolve():
        program = ["mlflow"]
    else:
        program = [str(beside)] if beside.exists() else [sys.executable, "-m", "mlflow"]
    # MLflow's usual four workers take a minute to start on a laptop; one reader needs one.
    options = ["--backend-store-uri", redact(uri), "--port", str(UI_PORT), "--workers", "1"]
    return shlex.join([*program, "ui", *options])


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow and its migrations narrate, and use what SQLAlchemy deprecates; neither is news to our user."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # A database that is away is reported by us, once, and without a traceback.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _knock(uri: str) -> None:
    """Fail at once where MLflow would try fifteen times over many minutes."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()
