"""An Optuna study's trials as the queue reads and writes them; every write happens under the lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from cmae_ablate.files import JSON
from cmae_ablate.queue.cells import PlannedCell
from cmae_ablate.queue.proposals import Direction, Proposal
from cmae_ablate.queue.storage import Storage
from cmae_ablate.report.cell_record import CellRecord

_SEED = IntDistribution(0, 2**53 - 1)  # one range for ever; the database keeps parameters as doubles
FORGIVEN, DISCARDED = "forgiven_before", "discarded"
"""Attributes of the Optuna study: see `Trials.forgiven_before` and `Trials.discarded`."""


class Trials:
    """The trials of one Optuna study, created where it does not exist. Open it under the lock.

    Args:
        storage: Where.
        study_name: Which study.
        direction: `maximize` or `minimize`; only a new study takes it.
        cells: The current design, for the levels of each factor.
    """

    def __init__(
        self, storage: Storage, study_name: str, direction: Direction, cells: Sequence[PlannedCell]
    ) -> None:
        self._rdb = storage.rdb
        self._study = optuna.create_study(
            storage=self._rdb,
            study_name=study_name,
            direction=direction,
            load_if_exists=True,
            sampler=RandomSampler(),
        )
        self._study_id = self._rdb.get_study_id_from_name(study_name)
        levels: dict[str, set[str]] = {}
        for cell in cells:
            for factor, label in cell.levels.items():
                levels.setdefault(factor, set()).add(label)
        self._levels = {factor: sorted(labels) for factor, labels in levels.items()}

    def read(self) -> list[FrozenTrial]:
        """All trials; the position in the list is the trial's number. Not to be changed."""
        return self._study.get_trials(deepcopy=False)

    def forgiven_before(self) -> int:
        """Failures of trials with smaller numbers do not count."""
        return int(self._study.user_attrs.get(FORGIVEN, 0))

    def reset_failures(self) -> None:
        """Let no failure so far count."""
        self._study.set_user_attr(FORGIVEN, len(self.read()))

    def discarded(self) -> frozenset[int]:
        """Numbers of trials whose results count no more."""
        return frozenset(self._study.user_attrs.get(DISCARDED, []))

    def discard(self, numbers: Iterable[int]) -> None:
        """Let the results of these trials count no more; they stay stored."""
        self._study.set_user_attr(DISCARDED, sorted({*self.discarded(), *numbers}))

    def note(self, key: str, value: JSON) -> None:
        """Keep something with the Optuna study."""
        self._study.set_user_attr(key, value)

    def add(
        self,
        known: Sequence[FrozenTrial],
        cell: PlannedCell,
        state: TrialState,
        attrs: Mapping[str, JSON],
        value: float | None = None,
        proposal: Proposal | None = None,
    ) -> int:
        """Create a trial of `cell` in one transaction and return its number.

        Args:
            known: What `read` gave since the lock is held. To read once more would cost as much as there
                are trials running, and every worker waits for the lock.
            cell: The cell.
            state: The trial's.
            attrs: Kept with it, beside what says which cell it is for.
            value: The study's metric, where it is known.
            proposal: What a tuning trial tries.
        """
        proposal = proposal or Proposal()
        params, distributions = self._params(known, cell, proposal)
        identity = {
            "cell": cell.id,
            "variant": cell.variant,
            "seed": cell.seed,
            "levels": dict(cell.levels),
            "fingerprint": cell.fingerprint,
            "planned": cell.planned,
            **({"settings": dict(proposal.settings)} if proposal.settings else {}),
        }
        self._study.add_trial(
            create_trial(
                state=state,
                value=value,
                params=params,
                distributions=distributions,
                user_attrs={**attrs, **identity},
                intermediate_values=dict(proposal.reported),
            )
        )
        return len(known)  # numbers count from 0, and nobody else adds trials while the lock is held

    def set(self, number: int, key: str, value: JSON) -> None:
        """Write a user attribute.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: The trial is over.
        """
        trial_id = self._rdb.get_trial_id_from_study_id_trial_number(self._study_id, number)
        self._rdb.set_trial_user_attr(trial_id, key, value)

    def report(self, number: int, step: int, value: float) -> None:
        """Keep what a RUNNING trial found on the way."""
        trial_id = self._rdb.get_trial_id_from_study_id_trial_number(self._study_id, number)
        self._rdb.set_trial_intermediate_value(trial_id, step, value)

    def prune(self, number: int, reason: str) -> None:
        """End a trial early, for good; nothing happens if it is over already."""
        if self.read()[number].state.is_finished():
            return
        self.set(number, "reason", reason)
        self._study.tell(number, state=TrialState.PRUNED)

    def complete(self, number: int, value: float, record: CellRecord) -> None:
        """End a RUNNING trial well."""
        self.set(number, "results", record.to_json())
        self._study.tell(number, value)

    def fail(
        self, number: int, reason: str, *, counts: bool, final: bool = False, died: bool = False
    ) -> None:
        """End a trial without a result; nothing happens if it is over already.

        Args:
            number: The trial.
            reason: Kept with it.
            counts: Whether it is an attempt that failed.
            final: Whether every other attempt would fail alike.
            died: Whether the attempt ended because its process did.
        """
        if self.read()[number].state.is_finished():
            return
        self.set(number, "reason", reason)
        self.set(number, "counts", counts)
        self.set(number, "final", final)
        if died:
            self.set(number, "died", True)
        self._study.tell(number, state=TrialState.FAIL)

    def _params(
        self, known: Sequence[FrozenTrial], cell: PlannedCell, proposal: Proposal
    ) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """The cell's levels and seed, and what it tries, as Optuna parameters.

        Optuna refuses a parameter whose choices differ from those it had in the study's first trial. Where a
        factor's levels have changed since, its parameter goes on under a name of its own, `decoder (2)`; the
        attribute `levels` always has the plain name. One Optuna study a variant would need none of this, but
        would not know the trials of the states that there are, and the lock would be held for as many reads.
        """
        recorded: dict[str, BaseDistribution] = {}
        for trial in known:
            for name, distribution in trial.distributions.items():
                recorded.setdefault(name, distribution)
        params: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}
        listed: list[tuple[str, Any, BaseDistribution]] = [
            *(
                (name, label, CategoricalDistribution(self._levels[name]))
                for name, label in cell.levels.items()
            ),
            ("seed", cell.seed, _SEED),
            *((name, value, proposal.distributions[name]) for name, value in proposal.params.items()),
        ]
        for factor, label, wanted in listed:
            name, version = factor, 1
            while name in distributions or recorded.get(name, wanted) != wanted:
                version += 1
                name = f"{factor} ({version})"
            params[name], distributions[name] = label, wanted
        return params, distributions
