"""Where a study's cells stand, for who only looks: nothing is created, locked or written."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from cmae_ablate.database import hide_secrets_of, redact, sqlite_path
from cmae_ablate.queue.cells import CellStatus, OtherCell, PlannedCell, by_cell, others_of, status_of
from cmae_ablate.queue.leases import Leases
from cmae_ablate.queue.optuna_trials import DISCARDED, FORGIVEN
from cmae_ablate.queue.owner import Owner
from cmae_ablate.queue.storage import (
    SQLITE_BUSY_SECONDS,
    database_time,
    is_of_this_optuna,
    not_opened,
    of_another_version,
    parse_storage,
    patiently,
)

T = TypeVar("T")
Gate = Callable[[Sequence[CellStatus]], Collection[str]]
"""From where all cells stand to the ids of those that are to be run by now.

Whoever asks must come to the same ids from the same results, whatever the cells' order: no state, no clock.
"""
LEASE_SECONDS, MAX_ATTEMPTS, OUTAGE_SECONDS = 60.0, 3, 600.0


def read_status(storage_url: str, study_name: str, cells: Sequence[PlannedCell]) -> list[CellStatus]:
    """As `Queue.status(gated=False)`, also where the database, or its folder, may not be written to.

    Args:
        storage_url: SQLite or PostgreSQL; a database or a study that is not there has no cell begun.
        study_name: Of the Optuna study.
        cells: The current design.

    Raises:
        UserError: The storage cannot be used.
        StorageError: The database stays away.
    """
    leases = Leases(Owner.current(), LEASE_SECONDS)

    def read(rdb: RDBStorage) -> list[CellStatus]:
        trials, attrs = _read(rdb, study_name)
        with rdb.engine.connect() as connection:
            now = time.time() if sqlite_path(storage_url) else database_time(connection)
        forgiven = int(attrs.get(FORGIVEN, 0))
        grouped = by_cell(trials, frozenset(attrs.get(DISCARDED, ())))
        return list(statuses(cells, grouped, leases, now, forgiven, MAX_ATTEMPTS))

    found = _ask(storage_url, read)
    return [CellStatus(cell, "WAITING") for cell in cells] if found is None else found


def read_others(storage_url: str, study_name: str, cells: Sequence[PlannedCell]) -> list[OtherCell]:
    """The finished cells of the variants and seeds of `cells` that were made otherwise. As `read_status`."""

    def read(rdb: RDBStorage) -> list[OtherCell]:
        trials, attrs = _read(rdb, study_name)
        return others_of(cells, by_cell(trials, frozenset(attrs.get(DISCARDED, ()))))

    return _ask(storage_url, read) or []


def _ask(storage_url: str, read: Callable[[RDBStorage], T]) -> T | None:
    """What is read from a storage; None where there is none."""
    rdb = _open(storage_url)
    if rdb is None:
        return None
    try:
        return patiently(partial(read, rdb), redact(storage_url), OUTAGE_SECONDS)
    finally:
        rdb.remove_session()
        rdb.engine.dispose()


def passed(gate: Gate | None, found: Sequence[CellStatus]) -> list[CellStatus]:
    """The cells that are to be run by now, and others that are complete or running; without a gate, all."""
    if gate is None:
        return list(found)
    wanted = gate(found)
    return [each for each in found if each.cell.id in wanted or each.is_done or each.state == "RUNNING"]


def statuses(
    cells: Sequence[PlannedCell],
    grouped: dict[str, list[FrozenTrial]],
    leases: Leases,
    now: float,
    forgiven_before: int,
    max_attempts: int,
) -> Iterator[CellStatus]:
    """Fold the trials of each cell into where it stands; see `status_of`."""
    for cell in cells:
        trials = grouped.get(cell.id, [])
        is_stale = bool(trials) and leases.is_over(trials[-1], now)
        reason = leases.end_of(trials[-1])[0] if is_stale else None
        yield status_of(
            cell,
            trials,
            now=now,
            stale_reason=reason,
            forgiven_before=forgiven_before,
            max_attempts=max_attempts,
        )


def _read(rdb: RDBStorage, study_name: str) -> tuple[list[FrozenTrial], dict[str, Any]]:
    """A study's trials and its own attributes; none of either where there is no such study."""
    with suppress(KeyError):
        study_id = rdb.get_study_id_from_name(study_name)
        return rdb.get_all_trials(study_id, deepcopy=False), rdb.get_study_user_attrs(study_id)
    return [], {}


def _open(url: str) -> RDBStorage | None:
    """The storage as it is; None where there is none, or none whose tables were all made."""
    hide_secrets_of(url)
    parsed = parse_storage(url)
    options: dict[str, Any] = {"pool_pre_ping": True}
    database = sqlite_path(url)
    if database is not None:
        if not database.is_file():
            return None
        options = {"creator": lambda: _connect(database)}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rendered = parsed.render_as_string(hide_password=False)
    try:
        engine = sqlalchemy.create_engine(parsed, **options)
        try:
            if not sqlalchemy.inspect(engine).has_table("alembic_version"):  # Optuna makes it last
                return None
            is_known = is_of_this_optuna(engine)
        finally:
            engine.dispose()
        return RDBStorage(
            rendered, engine_kwargs=options, skip_compatibility_check=is_known, skip_table_creation=True
        )
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        raise not_opened(redact(url), error) from None
    except RuntimeError as error:
        raise of_another_version(redact(url), error) from None


def _connect(database: Path) -> sqlite3.Connection:
    # What a killed process left half-written is rolled back by whoever may write; `ro` alone could not.
    may_write = os.access(database, os.W_OK) and os.access(database.parent, os.W_OK)
    address = f"file:{quote(str(database.resolve()))}?mode={'rw' if may_write else 'ro'}"
    return sqlite3.connect(address, uri=True, timeout=SQLITE_BUSY_SECONDS, check_same_thread=False)
