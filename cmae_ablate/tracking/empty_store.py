"""MLflow's empty tables, kept in the user's cache: dozens of migrations take a second for each new store.

They are kept as SQL text with a digest, a file for each version of MLflow: a text that is damaged, or cannot
be written, costs that second and nothing else.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from cmae_ablate.errors import UserError
from cmae_ablate.files import DamagedError, cache_root, read_record, sealed, write_atomically

OWN_ROWS = 'INSERT INTO "experiments"'
"""MLflow's default experiment: it names the folder in which a command was called; each store has its own."""


def restore(database: Path) -> bool:
    """Give an empty SQLite file the tables that this version of MLflow made once.

    Returns:
        Whether they were at hand; else the file is as it was.
    """
    try:
        text = read_record(_kept(), needs_seal=True)["sql"]
        with closing(sqlite3.connect(database)) as opened:
            opened.executescript(text)
    except (FileNotFoundError, DamagedError, KeyError, TypeError, UserError, sqlite3.Error):
        database.write_bytes(b"")
        return False
    return True


def keep(database: Path) -> None:
    """Keep the tables of a store that MLflow has just made, and in which nothing has been tracked."""
    # A cache that cannot be written costs time, nothing else.
    with suppress(OSError, UserError), closing(sqlite3.connect(database)) as opened:
        lines = [line for line in opened.iterdump() if not line.startswith(OWN_ROWS)]
        path = _kept()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, sealed({"sql": "\n".join(lines)}))


def _kept() -> Path:
    return cache_root() / "mlflow" / f"{version('mlflow')}-sqlalchemy-{version('sqlalchemy')}.json"
