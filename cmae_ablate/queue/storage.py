"""The database behind the queue: opening it safely, the one lock, and patience with outages."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cmae_ablate.database import (
    cause_of,
    hide_secrets_of,
    is_damaged,
    move_aside,
    parse_url,
    redact,
    sqlite_path,
    unreachable,
)
from cmae_ablate.errors import StorageError, UserError, is_full
from cmae_ablate.files import create_private

T = TypeVar("T")
LOGGER = logging.getLogger(__name__)
SQLITE_BUSY_SECONDS = 30
LIMITED = "disk I/O error"
"""SQLite's words where a file may not grow: by a quota, by `ulimit -f`, or as the disk fails."""


class Storage:
    """An open Optuna storage with the lock that every change to a study goes through.

    The lock is a file beside an SQLite database and an advisory lock of a PostgreSQL one: Optuna by itself
    hands a trial to two workers on SQLite, and half-creates its schema when several processes open a new
    store together.

    Args:
        url: An SQLAlchemy URL of SQLite or PostgreSQL.

    Raises:
        UserError: The URL is malformed, of another kind of database, unreachable or no Optuna store.
    """

    def __init__(self, url: str) -> None:
        hide_secrets_of(url)
        self._url = parse_storage(url)
        self.name = redact(url)
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        if self._is_sqlite:
            database = Path(self._url.database or "")
            self._lock_path = database.with_name(f"{database.name}.lock")
            self._lock_engine = None
            create_private(database)
            create_private(self._lock_path)
        else:
            self._lock_engine = _engine_of_postgresql(self._url)
            self._lock_key = zlib.crc32(b"cmae-ablate queue")
        self.rdb = self._open()

    @contextmanager
    def lock(self) -> Iterator[float]:
        """Hold the lock; yields the time in seconds since 1970 by the clock that all its users share.

        Not reentrant. Nobody else waits for a dead holder: operating system and server both free its lock.

        Raises:
            StorageInternalError: The file cannot be locked: a stale handle of a network disk, say. Whoever is
                patient with the database is then patient with its lock, too.
        """
        if self._lock_engine is None:
            with self._locked_file():
                yield time.time()
            return
        with self._lock_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = {"key": self._lock_key}
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), key)
            try:
                yield database_time(connection)
            finally:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), key)

    def _locked_file(self) -> AbstractContextManager[object]:
        try:
            return FileLock(self._lock_path, mode=0o600, poll_interval=0.01).acquire()
        except OSError as error:
            raise StorageInternalError from error

    def now(self) -> float:
        """The shared clock without the lock."""
        if self._lock_engine is None:
            return time.time()
        with self._lock_engine.connect() as connection:
            return database_time(connection)

    def close(self) -> None:
        """Close this thread's session and every idle connection."""
        self.rdb.remove_session()
        self.rdb.engine.dispose()

    def _open(self) -> RDBStorage:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # pre_ping replaces connections that a restarted server has dropped.
        options = (
            {"connect_args": {"timeout": SQLITE_BUSY_SECONDS}} if self._is_sqlite else {"pool_pre_ping": True}
        )
        try:
            with self.lock():
                return RDBStorage(
                    self._url.render_as_string(hide_password=False),
                    engine_kwargs=options,
                    skip_compatibility_check=_is_of_this_optuna(self._url, options),
                )
        except (SQLAlchemyError, StorageInternalError) as error:
            raise not_opened(self.name, error) from None
        except RuntimeError as error:
            raise of_another_version(self.name, error) from None


def _is_of_this_optuna(url: URL, options: Mapping[str, Any]) -> bool:
    engine = sqlalchemy.create_engine(url, **options)
    try:
        return is_of_this_optuna(engine)
    finally:
        engine.dispose()


def is_of_this_optuna(engine: sqlalchemy.Engine) -> bool:
    """Whether this very version of Optuna made the tables, so that it need not ask whether it knows them.

    To know, it compiles all of its migrations, which each of a study's processes would do for each queue.
    """
    if not sqlalchemy.inspect(engine).has_table("version_info"):
        return False
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT library_version FROM version_info"))
        return found.scalars().all() == [optuna.__version__]


def not_opened(name: str, error: BaseException) -> UserError | StorageError:
    """What to say of a database that cannot be opened, by its redacted name."""
    if is_full(error) or LIMITED in cause_of(error):
        return StorageError(
            f"--storage {name}: cannot be opened ({cause_of(error)}); free some room on its disk, look at "
            "your quota and at ulimit -f, and the same command goes on"
        )
    if remedy := _made_anew(name, error):
        return UserError(f"{sqlite_path(name)}: cannot be opened ({cause_of(error)}); {remedy}")
    return UserError(
        f"--storage {name}: cannot be opened ({cause_of(error)}); "
        "check that the database runs, that it is yours to write, and the URL"
    )


def _made_anew(name: str, error: BaseException) -> str:
    """What to do about an SQLite file that is damaged; empty where something else is wrong."""
    database = sqlite_path(name)
    if database is None or not is_damaged(error):
        return ""
    return (
        f"{move_aside(database)} and give the same `run` again: it makes a new one, and what is finished "
        "comes from the cache without training (imported cells need their --import again)"
    )


def of_another_version(name: str, error: RuntimeError) -> UserError:
    """What to say of a database that this Optuna cannot read."""
    return UserError(
        f"--storage {name}: written by another Optuna version ({error}); "
        "upgrade it with `optuna storage upgrade` or use another --out"
    )


def patiently(action: Callable[[], T], name: str, seconds: float) -> T:
    """Run `action`, again and again while the database is locked, restarting or full.

    Args:
        action: Must be safe to repeat after a failure whose commit may have gone through.
        name: The redacted URL, for messages.
        seconds: How long to go on before giving up.

    Raises:
        StorageError: Every try within `seconds` failed, or the first for a reason that does not pass.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    while True:
        try:
            return action()
        except (SQLAlchemyError, StorageInternalError) as error:
            if is_permanent(error):
                raise StorageError(_not_passing(name, error)) from None
            if time.monotonic() + pause > deadline:
                raise StorageError(
                    f"{name}: no answer for {seconds:.0f} s ({cause_of(error)}); "
                    "nothing finished is lost, the same command resumes"
                ) from None
            if pause > 1:  # a brief lock is no news
                remedy = "; free some room on its disk" if is_full(error) else ""
                LOGGER.warning("%s: %s; trying again%s", name, cause_of(error), remedy)
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


def _not_passing(name: str, error: BaseException) -> str:
    """What to say where a database refuses for a reason that does not pass."""
    usual = (
        "see that it is there and yours to write, then give the same command again; nothing finished is lost"
    )
    return f"{name}: {cause_of(error)}; waiting cannot help: {_made_anew(name, error) or usual}"


_PERMANENT = (
    "readonly database",
    "unable to open database file",
    "permission denied",
    "read-only file system",
    "authentication failed",
    "does not exist",
    "no such table",
)
"""What SQLite and PostgreSQL say where neither a lock nor a restart is what ails them."""


def is_permanent(error: BaseException) -> bool:
    """Whether a database refuses for a reason that does not pass."""
    said = cause_of(error).lower()
    return is_damaged(error) or any(words in said for words in _PERMANENT)


def parse_storage(url: str) -> URL:
    """A storage's URL, with the driver that is used.

    Raises:
        UserError: It is malformed, of another kind of database, or names none that others reach.
    """
    parsed = parse_url(url)
    if parsed is None:
        raise UserError(
            f"--storage {redact(url)}: no database URL; write sqlite:////path/optuna.db "
            "or postgresql://user@host/database"
        )
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql", "postgres"):
        raise UserError(f"--storage {redact(url)}: {backend} is not supported; use sqlite or postgresql")
    if fault := unreachable(parsed):
        raise UserError(f"--storage {redact(url)}: {fault}")
    # One driver, whatever SQLAlchemy's default is: the one among this package's dependencies.
    return parsed if backend == "sqlite" else parsed.set(drivername="postgresql+psycopg")


def _engine_of_postgresql(url: URL) -> sqlalchemy.Engine:
    try:
        # A connection a lock: closing it frees the lock whatever happens.
        return sqlalchemy.create_engine(url, poolclass=NullPool)
    except ImportError:
        raise UserError(
            f"--storage {redact(url.render_as_string())}: the driver is missing; run: "
            "pip install 'cmae-ablate[cluster]'"
        ) from None


def database_time(connection: sqlalchemy.Connection) -> float:
    """Seconds since 1970 by a PostgreSQL server's clock, which all its users share."""
    return float(
        connection.execute(sqlalchemy.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    )
