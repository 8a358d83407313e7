"""A worker's hold on a cell, kept alive by a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from sqlalchemy.exc import SQLAlchemyError

from cmae_ablate.database import cause_of
from cmae_ablate.queue.cells import PlannedCell
from cmae_ablate.queue.proposals import Proposal

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sign:
    """What a worker says of itself with each renewal.

    Attributes:
        advanced: The attempt has come further than those before it.
        told_to_stop: A signal has asked the process to end.
    """

    advanced: bool = False
    told_to_stop: bool = False


class Claim:
    """One attempt at one cell. As a context manager it renews its lease in the background.

    Optuna's own heartbeat lives only inside `study.optimize` and dies with the first database error; this one
    tries again until told to stop.

    Args:
        cell: What to run.
        trial: Number of the Optuna trial that stands for the attempt.
        attempt: 1 for the first; attempts that were merely interrupted are not counted.
        renew: Writes the lease's time and what there is to say of the attempt; raises
            `UpdateFinishedTrialError` once the lease is somebody else's.
        interval: Seconds between renewals.
        proposal: What a tuning trial is to try, and what earlier attempts at it found on the way.
    """

    def __init__(
        self,
        cell: PlannedCell,
        trial: int,
        attempt: int,
        *,
        renew: Callable[[int, Sign], None],
        interval: float,
        proposal: Proposal | None = None,
    ) -> None:
        self.cell = cell
        self.trial = trial
        self.attempt = attempt
        self.proposal = proposal or Proposal()
        self._renew = renew
        self._interval = interval
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._due = threading.Event()
        self._advanced = False
        self._told_to_stop = False
        self._thread: threading.Thread | None = None

    @property
    def lost(self) -> bool:
        """Whether the lease went to another worker; the work may then stop, its result is not needed."""
        return self._lost.is_set()

    def advance(self) -> None:
        """The attempt has come further than those before it: if its process dies now, it is not to blame."""
        if not self._advanced:
            self._advanced = True
            self._due.set()

    def told_to_stop(self) -> None:
        """The user wants the process to end: if it dies now, the cell is not to blame either."""
        self._told_to_stop = True
        self._due.set()

    def __enter__(self) -> Claim:
        self._thread = threading.Thread(target=self._beat, name=f"lease of {self.cell.id}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Renew no more; waits for a renewal under way. Safe to call again."""
        self._stop.set()
        self._due.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def _beat(self) -> None:
        away = False
        while not self._stop.is_set():
            self._due.wait(self._interval)
            if self._stop.is_set():
                return
            self._due.clear()
            try:
                self._renew(self.trial, Sign(self._advanced, self._told_to_stop))
                away = False
            except UpdateFinishedTrialError:
                LOGGER.warning("%s: the lease went to another worker", self.cell.id)
                self._lost.set()
                return
            except (SQLAlchemyError, StorageInternalError) as error:
                if not away:
                    LOGGER.warning("%s: lease not renewed (%s); trying again", self.cell.id, cause_of(error))
                away = True
