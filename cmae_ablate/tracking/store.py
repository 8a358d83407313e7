"""The one border between MLflow and us: whatever a store does wrong is said once, and ends here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from filelock import FileLock

from cmae_ablate.database import cause_of, is_damaged, move_aside, redact, sqlite_path
from cmae_ablate.errors import is_full
from cmae_ablate.files import create_private
from cmae_ablate.tracking.connection import check_uri, connect, create_tables, load_mlflow
from cmae_ablate.tracking.run_tree import RunTree

LOGGER = logging.getLogger(__name__)
LOCK_SECONDS = 60.0
"""A store's tables take long to make on a busy machine; a process that hangs may hold the lock for ever."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
_AWAY: set[str] = set()
"""The stores that this process last said to be away: a study's cells and its controls have a tracker each."""


class Store:
    """A study's place in an MLflow store, reached from one thread alone.

    Args:
        uri: Of a database or a server.
        artifacts: Folder of artifacts, where the store is a database.
        study: Name of the study, and of its experiment.

    Raises:
        UserError: The URI is none of MLflow's.

    Attributes:
        is_away: Whether the last word of it was a bad one, or none.
        is_stuck: Whether it was waited for in vain, and has not answered since.
        remedy: What to do where it will never answer, for its file is damaged; empty otherwise.
    """

    def __init__(self, uri: str, artifacts: Path, study: str) -> None:
        check_uri(uri)
        self.is_away = self.is_stuck = False
        self.remedy = ""
        self._uri, self._artifacts, self._study = uri, artifacts, study
        self._tree: RunTree | None = None
        self._pause, self._next_try = FIRST_PAUSE, 0.0
        # An SQLite store's lock belongs to the database: two studies may share it.
        self._database = sqlite_path(uri)
        self._lock_path = (
            self._database.with_name(f"{self._database.name}.lock")
            if self._database
            else artifacts.parent / "mlflow.lock"
        )
        create_private(self._lock_path)
        if self._database is not None and self._database.exists():
            create_private(self._database)  # may it be written? One that is not there is made with its tables
        artifacts.mkdir(mode=0o700, parents=True, exist_ok=True)

    def attempt(self, action: Callable[[RunTree], None], *, creates: bool = True) -> bool:
        """Do something with the study's runs, a second time with a new connection where the first fails.

        What a user edited, renamed or deleted meanwhile is then looked for anew. After two failures nothing
        is tried for a while.

        Args:
            action: May be done again, and may raise anything.
            creates: Whether two processes might make the same run twice: then under the lock, as always
                where the store is a file. A server keeps apart what workers write to runs of their own.

        Returns:
            Whether it was done.
        """
        if time.monotonic() < self._next_try:
            return False
        for is_last in (False, True):
            alone = creates or self._tree is None or self._database is not None
            try:
                if self._tree is None:
                    load_mlflow(self._uri)  # for seconds, or in vain: then nothing is created
                with FileLock(self._lock_path, LOCK_SECONDS, mode=0o600) if alone else nullcontext():
                    self._tree = self._tree or self._open()
                    action(self._tree)
            # Servers of another shape and edited tags raise whatever comes to the parser's mind.
            except (Exception, SystemExit) as error:
                self._tree, self.is_stuck = None, False
                if is_last:
                    self.remedy = self._remedy(error)
                    self._rest(
                        "has no room left on its disk" if is_full(error) else f"is away ({cause_of(error)})"
                    )
            else:
                self._welcome()
                return True
        return False

    def give_up_waiting(self, seconds: float) -> None:
        """From the thread that waits: a whole study has done so in vain."""
        self._warn(f"is away (no answer for {seconds:.0f} s)")
        self.is_stuck = True

    def _open(self) -> RunTree:
        if self._database is not None:
            create_tables(self._database)
        place = None if self._uri.startswith("http") else self._artifacts / self._study
        return RunTree(connect(self._uri), self._study, place)

    def _remedy(self, error: BaseException) -> str:
        if self._database is None or not is_damaged(error):
            return ""
        return (
            f"{self._database} is damaged: {move_aside(self._database)}, and the same command makes its runs "
            "anew from queue and cache"
        )

    def _rest(self, state: str) -> None:
        self._warn(state)
        self._next_try = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _warn(self, state: str) -> None:
        if not self.is_away and _is_news(self._uri, away=True):
            later = ", and what its runs lack is told later, at the latest by the same command"
            LOGGER.warning(
                "tracking: MLflow at %s %s; training goes on%s",
                redact(self._uri),
                state,
                f"; {self.remedy}" if self.remedy else later,
            )
        self.is_away = True

    def _welcome(self) -> None:
        if _is_news(self._uri, away=False):
            LOGGER.warning("tracking: MLflow at %s answers again", redact(self._uri))
        self.is_away = self.is_stuck = False
        self.remedy = ""
        self._pause, self._next_try = FIRST_PAUSE, 0.0


def _is_news(uri: str, *, away: bool) -> bool:
    """Whether this process has not yet said so of that store; from now on it has."""
    was_away = uri in _AWAY
    (_AWAY.add if away else _AWAY.discard)(uri)
    return was_away != away
