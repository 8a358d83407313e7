"""Claim, finish, fail: each one short transaction under the storage's lock."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from typing import TypeVar

from optuna.trial import FrozenTrial, TrialState

from cmae_ablate.files import JSON
from cmae_ablate.queue.cells import CellStatus, PlannedCell, at_work, by_cell, complete_trial, killers_last
from cmae_ablate.queue.csv_import import importable
from cmae_ablate.queue.lease import Claim, Sign
from cmae_ablate.queue.leases import Leases, Silence, owner_of
from cmae_ablate.queue.optuna_trials import Trials
from cmae_ablate.queue.owner import Owner
from cmae_ablate.queue.proposals import Direction, Proposals
from cmae_ablate.queue.reading import LEASE_SECONDS, MAX_ATTEMPTS, OUTAGE_SECONDS, Gate, passed, statuses
from cmae_ablate.queue.storage import Storage, patiently
from cmae_ablate.report.cell_record import CellRecord, TrialRow

T = TypeVar("T")


class Queue:
    """A study's cells, shared by any number of workers through an Optuna study.

    The plan stays out of the database: a trial is created, RUNNING, when its cell is claimed. A trial's user
    attributes say which cell it is for, who runs it and when that worker last gave a sign of life. Trials of
    cells that are not in `cells` (older settings, seeds no longer asked for) stay stored and are ignored.

    Args:
        storage_url: SQLite or PostgreSQL.
        study_name: Of the Optuna study.
        cells: The current design in the order of running, ids distinct.
        max_attempts: Raised errors after which a cell has failed for good.
        lease_seconds: Silence after which a worker is taken for dead; see `Leases`.
        outage_seconds: How long to wait for a database that is away.
        direction: Which way the study's metric is better.
        proposals: What each cell is to try, where the cells are tuning trials of a search.
        gate: Which of the cells are to be run by now, where that depends on the results so far.

    Raises:
        UserError: The storage cannot be used.
        StorageError: From any method, when the database stays away.
    """

    def __init__(
        self,
        storage_url: str,
        study_name: str,
        cells: Sequence[PlannedCell],
        *,
        max_attempts: int = MAX_ATTEMPTS,
        lease_seconds: float = LEASE_SECONDS,
        outage_seconds: float = OUTAGE_SECONDS,
        direction: Direction = "maximize",
        proposals: Proposals | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.cells = tuple(cells)
        assert len({cell.id for cell in self.cells}) == len(self.cells), "two cells have one id"
        self._max_attempts = max_attempts
        self._lease_seconds = lease_seconds
        self._outage_seconds = outage_seconds
        self._proposals = proposals
        self._gate = gate
        self._owner = Owner.current()
        self._held: set[int] = set()
        self._silence = Silence()
        self._storage = Storage(storage_url)
        self._trials = self._locked(lambda _: Trials(self._storage, study_name, direction, self.cells))
        self._patiently(self._trials.read)  # finished trials are cached from here on

    def claim(self, worker: str, *, log: str = "") -> Claim | None:
        """Take the first cell that is neither done, nor running, nor out of attempts.

        Leases that are over are freed on the way. A cell whose encoder a running one is at has to wait.

        Args:
            worker: Name for people.
            log: Path of the log that the attempt will write.

        Returns:
            None when there is nothing to take now; `pending` says whether there may be later.
        """
        return self._locked(lambda now: self._claim(worker, log, now))

    def pending(self) -> int:
        """Cells that are neither complete nor failed for good: running somewhere, or waiting for a try."""
        return sum(status.state in ("RUNNING", "WAITING") for status in self.status())

    def finish(self, claim: Claim, value: float, record: CellRecord) -> bool:
        """Record a cell's result, unless somebody else has already done so.

        A lost lease does not waste the work: the first result counts, whoever holds the lease.

        Args:
            claim: From `claim`.
            value: The study's metric, not NaN.
            record: Everything else worth keeping.

        Returns:
            Whether this result is the one that counts.
        """
        if math.isnan(value):
            raise ValueError(f"{claim.cell.id}: the study's metric is not a number")
        claim.stop()
        recorded = self._locked(lambda now: self._complete(claim, value, record, now))
        self._held.discard(claim.trial)
        return recorded

    def fail(self, claim: Claim, reason: str, *, final: bool = False) -> None:
        """The attempt raised an error: it counts, `reason` is kept; where `final`, no other is made."""
        self._end(claim, reason, counts=True, final=final)

    def report(self, claim: Claim, step: int, value: float) -> bool:
        """Keep what a tuning trial found on the way.

        Args:
            claim: From `claim`.
            step: Counts such reports; the same step of all trials is compared.
            value: What was found; higher is better.

        Returns:
            Whether the trial should be pruned.
        """
        return self._locked(lambda _: self._report(claim, step, value))

    def prune(self, claim: Claim, reason: str) -> None:
        """A tuning trial was stopped early: it counts, and is not tried again."""
        claim.stop()
        self._locked(lambda _: self._trials.prune(claim.trial, reason))
        self._held.discard(claim.trial)

    def note(self, key: str, value: JSON) -> None:
        """Keep something with the Optuna study, for people to see."""
        self._locked(lambda _: self._trials.note(key, value))

    def release(self, claim: Claim, reason: str = "interrupted") -> None:
        """The attempt was interrupted: it does not count, and the cell is free at once."""
        self._end(claim, reason, counts=False)

    def reset_failures(self) -> None:
        """Count no failure so far: cells that failed for good get all their attempts again."""
        self._locked(lambda _: self._trials.reset_failures())

    def discard(self, cells: Collection[str]) -> None:
        """Count the results of complete cells no more: what they left on disk is damaged, and made again.

        Args:
            cells: Their ids.
        """

        def write(_: float) -> None:
            grouped = self._grouped(self._trials.read())
            done = [complete_trial(grouped.get(cell, [])) for cell in cells]
            self._trials.discard(trial.number for trial in done if trial is not None)

        self._locked(write)

    def status(self, *, gated: bool = True) -> list[CellStatus]:
        """Where each cell stands, in the design's order.

        Args:
            gated: Without the cells that are not to be run, or not yet.
        """

        def read() -> list[CellStatus]:
            now = self._storage.now()
            grouped, forgiven = self._grouped(self._trials.read()), self._trials.forgiven_before()
            found = statuses(self.cells, grouped, self._leases, now, forgiven, self._max_attempts)
            return passed(self._gate if gated else None, list(found))

        return self._patiently(read)

    def import_complete(self, rows: Iterable[TrialRow], metric: str, origin: str = "") -> int:
        """Count rows of a `trials.csv` as done where fingerprint and seed are those of a cell still open.

        Args:
            rows: Of the file, read.
            metric: The column with the study's metric.
            origin: The file; each is taken for a machine of its own, and so is each that it imported itself.

        Returns:
            How many cells were completed.
        """
        count = 0
        for cell, value, row in importable(rows, self.cells, metric):
            machine = f"{origin}#{row.imported}" if row.imported else origin
            count += self._locked(self._importing(cell, value, row.record, machine))
        return count

    def close(self) -> None:
        """Free the database's connections."""
        self._storage.close()

    def _claim(self, worker: str, log: str, now: float) -> Claim | None:
        known = self._free_leases(now)
        grouped, forgiven = self._grouped(known), self._trials.forgiven_before()
        order, busy = killers_last(self.cells, grouped, forgiven), at_work(self.cells, grouped)
        found = statuses(order, grouped, self._leases, now, forgiven, self._max_attempts)
        if self._gate is not None:
            found = iter(passed(self._gate, list(found)))
        status = next((s for s in found if s.state == "WAITING" and s.cell.encoder not in busy), None)
        if status is None:
            return None
        cell, attempt = status.cell, status.attempts + 1
        attrs: dict[str, JSON] = {"worker": worker, "owner": self._owner.to_json(), "log": log}
        attrs |= {"attempt": attempt, "lease": now}
        proposal = self._proposals.propose(cell, known) if self._proposals else None
        number = self._trials.add(known, cell, TrialState.RUNNING, attrs, proposal=proposal)
        self._held.add(number)
        interval = self._lease_seconds / 6
        return Claim(cell, number, attempt, renew=self._renew, interval=interval, proposal=proposal)

    def _free_leases(self, now: float) -> Sequence[FrozenTrial]:
        """End what runs under a lease that is over; returns all trials."""
        known = self._trials.read()
        ours = (trial for trials in by_cell(known).values() for trial in trials)
        stale = [trial for trial in ours if self._leases.is_over(trial, now)]
        for trial in stale:
            reason, died = self._leases.end_of(trial)
            self._trials.fail(trial.number, reason, counts=False, died=died)
        return self._trials.read() if stale else known

    def _report(self, claim: Claim, step: int, value: float) -> bool:
        assert self._proposals is not None, "only the tuning trials of a search are pruned"
        if self._trials.read()[claim.trial].state.is_finished():
            return False  # the lease is lost; `claim.lost` will say so
        self._trials.report(claim.trial, step, value)
        return self._proposals.is_hopeless(claim.trial, claim.cell, self._trials.read())

    def _complete(self, claim: Claim, value: float, record: CellRecord, now: float) -> bool:
        known = self._trials.read()
        trials = self._grouped(known).get(claim.cell.id, [])
        done = complete_trial(trials)
        if done is None:
            own = next(trial for trial in trials if trial.number == claim.trial)
            if own.state == TrialState.RUNNING:
                self._trials.complete(own.number, value, record)
            else:
                late = {key: own.user_attrs[key] for key in ("worker", "owner", "log", "attempt")}
                late |= {"lease": now, "results": record.to_json()}
                self._trials.add(known, claim.cell, TrialState.COMPLETE, late, value, claim.proposal)
        counting = claim.trial if done is None else done.number
        for trial in trials:
            if trial.state == TrialState.RUNNING and trial.number != counting:
                self._trials.fail(trial.number, "completed by another worker", counts=False)
        # A repeated call finds its own result of the time before.
        return done is None or owner_of(done).session == self._owner.session

    def _importing(
        self, cell: PlannedCell, value: float, record: CellRecord, origin: str
    ) -> Callable[[float], bool]:
        def write(_: float) -> bool:
            known = self._trials.read()
            if complete_trial(self._grouped(known).get(cell.id, [])):
                return False
            attrs: dict[str, JSON] = {"worker": "import", "origin": origin, "results": record.to_json()}
            self._trials.add(known, cell, TrialState.COMPLETE, attrs, value)
            return True

        return write

    def _end(self, claim: Claim, reason: str, *, counts: bool, final: bool = False) -> None:
        claim.stop()
        self._locked(lambda _: self._trials.fail(claim.trial, reason, counts=counts, final=final))
        self._held.discard(claim.trial)

    def _renew(self, number: int, sign: Sign) -> None:
        with self._storage.lock() as now:
            self._trials.set(number, "lease", now)
            for name, is_so in asdict(sign).items():
                if is_so:
                    self._trials.set(number, name, True)

    @property
    def _leases(self) -> Leases:
        return Leases(self._owner, self._lease_seconds, self._held, self._silence)

    def _grouped(self, trials: Iterable[FrozenTrial]) -> dict[str, list[FrozenTrial]]:
        return by_cell(trials, self._trials.discarded())

    def _locked(self, action: Callable[[float], T]) -> T:
        def once() -> T:
            with self._storage.lock() as now:
                return action(now)

        return self._patiently(once)

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, self._storage.name, self._outage_seconds)
