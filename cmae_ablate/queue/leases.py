"""When a worker's hold on a cell is over, and whether the cell is to blame for it."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from cmae_ablate.queue.cells import DIED, LEASE_LOST, STOPPED
from cmae_ablate.queue.owner import Owner


class Silence:
    """How long a process has itself heard nothing new of each lease.

    By a clock that nobody sets and that stands still while the machine sleeps: a laptop that wakes up, or a
    clock that jumps, makes no worker look dead to its neighbours.
    """

    def __init__(self) -> None:
        self._heard: dict[int, tuple[float, float]] = {}

    def of(self, trial: int, lease: float) -> float:
        """Seconds since `trial` was first seen with this `lease`; 0 at the first look."""
        now = time.monotonic()
        known, since = self._heard.get(trial, (lease, now))
        self._heard[trial] = (lease, since if known == lease else now)
        return now - self._heard[trial][1]


@dataclass(frozen=True)
class Leases:
    """All leases of a study, as one process sees them.

    Attributes:
        observer: That process.
        seconds: Silence after which a worker is taken for dead: by the shared clock where its process cannot
            be looked at; where it can be, and lives (stopped, or cut off from the database), as far as the
            observer has watched it be silent.
        held: Numbers of the trials that this process runs.
        silence: What the observer has heard of each.
    """

    observer: Owner
    seconds: float
    held: Collection[int] = field(default_factory=set)
    silence: Silence = field(default_factory=Silence)

    def is_over(self, trial: FrozenTrial, now: float) -> bool:
        """Whether a RUNNING trial's lease has ended at the shared time `now`; False for any other trial."""
        if trial.state != TrialState.RUNNING:
            return False
        owner, renewed = owner_of(trial), float(trial.user_attrs.get("lease", 0))
        # An orphan was created by a call of ours whose answer was lost with the connection.
        if self._is_ours(owner) and trial.number not in self.held:
            return True
        if owner.is_visible_to(self.observer):
            return owner.is_dead(self.observer) or self.silence.of(trial.number, renewed) >= self.seconds
        # A clock that was set back leaves leases in the future, which would never end.
        return abs(renewed - now) > self.seconds

    def end_of(self, trial: FrozenTrial) -> tuple[str, bool]:
        """Why a lease that is over ended, and whether its process died of the cell, as far as can be seen."""
        owner = owner_of(trial)
        if self._is_ours(owner) or not owner.is_dead(self.observer):
            return LEASE_LOST, False
        return (STOPPED, False) if trial.user_attrs.get("told_to_stop") else (DIED, True)

    def _is_ours(self, owner: Owner) -> bool:
        return owner.session == self.observer.session


def owner_of(trial: FrozenTrial) -> Owner:
    """Who holds, or held, a trial."""
    return Owner.from_json(trial.user_attrs.get("owner", {}))
