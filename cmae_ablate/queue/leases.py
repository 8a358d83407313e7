"""When a worker's hold on a cell is over, and whether the cell is to blame for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from cmae_ablate.queue.cells import DIED, LEASE_LOST, STOPPED
from cmae_ablate.queue.owner import Owner


@dataclass(frozen=True)
class Leases:
    """All leases of a study, as one process sees them.

    Attributes:
        observer: That process.
        seconds: Silence after which a worker is taken for dead where its process cannot be looked at.
        held: Numbers of the trials that this process runs.
    """

    observer: Owner
    seconds: float
    held: Collection[int] = field(default_factory=set)

    def is_over(self, trial: FrozenTrial, now: float) -> bool:
        """Whether a RUNNING trial's lease has ended at the shared time `now`; False for any other trial."""
        if trial.state != TrialState.RUNNING:
            return False
        owner, ahead = owner_of(trial), float(trial.user_attrs.get("lease", 0)) - now
        # A clock that was set back leaves leases in the future, which would never end.
        if abs(ahead) > self.seconds:
            return True
        # An orphan was created by a call of ours whose answer was lost with the connection.
        is_orphan = self._is_ours(owner) and trial.number not in self.held
        return is_orphan or owner.is_dead(self.observer)

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
