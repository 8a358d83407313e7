"""What the queue knows about a cell, and how a study's trials add up to it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from optuna.trial import FrozenTrial, TrialState

from cmae_ablate.files import JSON
from cmae_ablate.report.cell_record import CellRecord

LEASE_LOST = "lease lost: the worker died or fell silent"
DIED = "the worker's process died: it crashed, was killed, or ran out of memory"
STOPPED = "stopped at once, before the cell could write a checkpoint: a second signal, or no time left"
MAX_DEATHS = 3
"""Processes that die on a cell, one after the other and without getting further, before it has failed."""
State = Literal["COMPLETE", "PRUNED", "RUNNING", "FAILED", "WAITING"]


@dataclass(frozen=True)
class PlannedCell:
    """One variant with one seed, as the design lists it.

    Attributes:
        id: Names the cell for ever; includes the trial's fingerprint.
        variant: The variant's label.
        seed: At least 0.
        levels: Level label by factor.
        fingerprint: Of the resolved trial.
        planned: False for a seed beyond the study's own number, added later.
        encoder: Names the pretraining, which other cells may share; empty where there is none to share.
    """

    id: str
    variant: str
    seed: int
    levels: Mapping[str, str] = field(hash=False)
    fingerprint: str
    planned: bool = True
    encoder: str = ""


@dataclass(frozen=True)
class CellStatus:
    """Where a cell stands.

    Attributes:
        cell: The cell.
        state: FAILED only when no attempt is left; a failed cell that will be tried again is WAITING.
            PRUNED is a tuning trial that was stopped early, or diverged: it counts, and is not tried again.
        attempts: Attempts that raised an error and count.
        reason: Why the last attempt that is over did not complete; None where none failed, or all is well.
        worker: Who runs it, or ran it last; None before the first claim.
        lease_age: Seconds since the worker's last heartbeat; None unless RUNNING.
        log: Path of the log of the last attempt; empty if unknown.
        trial: Number of the last attempt's Optuna trial.
        started: Local time at which the last attempt began.
        value: The study's metric; None unless COMPLETE.
        record: What `finish` was given; empty unless COMPLETE.
        settings: What a tuning trial tries, by key of the trial; empty until it is claimed.
        origin: The file that its result was imported from, and `#` with a number where that one had imported
            it in its turn; empty if trained here, or in older state.
    """

    cell: PlannedCell
    state: State
    attempts: int = 0
    reason: str | None = None
    worker: str | None = None
    lease_age: float | None = None
    log: str = ""
    trial: int | None = None
    started: datetime | None = None
    value: float | None = None
    record: CellRecord = field(default_factory=CellRecord, hash=False)
    settings: Mapping[str, JSON] = field(default_factory=dict, hash=False)
    origin: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the cell needs no further work and did not fail."""
        return self.state in ("COMPLETE", "PRUNED")


@dataclass(frozen=True)
class OtherCell:
    """A finished cell of a variant and a seed that the design has, made otherwise: it counts for no cell now.

    Attributes:
        variant: The variant's label.
        seed: The cell's seed.
        record: What `finish` was given.
    """

    variant: str
    seed: int
    record: CellRecord = field(default_factory=CellRecord, hash=False)


def others_of(cells: Iterable[PlannedCell], grouped: Mapping[str, Sequence[FrozenTrial]]) -> list[OtherCell]:
    """The complete cells of the variants and seeds of `cells` that are none of them.

    Args:
        cells: Of the current design.
        grouped: A study's trials as `by_cell` has them.
    """
    known = {cell.id for cell in cells}
    wanted = {(cell.variant, cell.seed) for cell in cells}
    found = []
    for id_, trials in grouped.items():
        attrs = trials[0].user_attrs
        variant, seed = str(attrs.get("variant")), attrs.get("seed", -1)
        done = complete_trial(trials)
        if id_ not in known and (variant, seed) in wanted and done and done.state == TrialState.COMPLETE:
            record = CellRecord.from_json(done.user_attrs.get("results", {}))
            found.append(OtherCell(variant, seed, record))
    return found


def at_work(cells: Iterable[PlannedCell], grouped: Mapping[str, Sequence[FrozenTrial]]) -> set[str]:
    """The encoders that running cells are at: whoever took another cell of one could only wait for it.

    Args:
        cells: Of the current design.
        grouped: A study's trials as `by_cell` has them, those under leases that are over ended.
    """
    running = {id_ for id_, trials in grouped.items() if any(t.state == TrialState.RUNNING for t in trials)}
    return {cell.encoder for cell in cells if cell.encoder and cell.id in running}


def killers_last(
    cells: Iterable[PlannedCell], grouped: Mapping[str, Sequence[FrozenTrial]], forgiven_before: int
) -> list[PlannedCell]:
    """In the order of claiming: what processes died on may be what they died of, so others go first."""
    deadly = {id_: deaths(trials, forgiven_before) > 0 for id_, trials in grouped.items()}
    return sorted(cells, key=lambda cell: deadly.get(cell.id, False))


def by_cell(trials: Iterable[FrozenTrial], discarded: Container[int] = ()) -> dict[str, list[FrozenTrial]]:
    """A study's trials, in order, by the id of their cell.

    Trials that are not the queue's, and those whose numbers are among `discarded`, are left out.
    """
    grouped: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        if "cell" in trial.user_attrs and trial.number not in discarded:
            grouped.setdefault(trial.user_attrs["cell"], []).append(trial)
    return grouped


def complete_trial(trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The trial that completed a cell, or was pruned: no other is needed."""
    return next((t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)), None)


def failures(trials: Iterable[FrozenTrial], forgiven_before: int) -> list[FrozenTrial]:
    """The attempts that count as failed: those that raised, from trial number `forgiven_before` on."""
    return [
        trial
        for trial in trials
        if trial.state == TrialState.FAIL
        and trial.number >= forgiven_before
        and trial.user_attrs.get("counts")
    ]


def deaths(trials: Iterable[FrozenTrial], forgiven_before: int) -> int:
    """How many processes died on a cell without getting further, from trial number `forgiven_before` on.

    One that came further begins the count anew: an hour-long cell may well be killed three times.
    """
    count = 0
    for trial in trials:
        if trial.number >= forgiven_before and trial.user_attrs.get("died"):
            count = 0 if trial.user_attrs.get("advanced") else count + 1
    return count


def status_of(
    cell: PlannedCell,
    trials: Sequence[FrozenTrial],
    *,
    now: float,
    stale_reason: str | None,
    forgiven_before: int,
    max_attempts: int,
) -> CellStatus:
    """Fold a cell's trials into where it stands.

    Args:
        cell: The cell.
        trials: Its trials in order of their numbers.
        now: Shared clock, seconds since 1970.
        stale_reason: Why the lease of the last trial is over, where it is RUNNING under one that is.
        forgiven_before: Failures of trials with smaller numbers do not count.
        max_attempts: Failures that end the cell.
    """
    failed = failures(trials, forgiven_before)
    is_deadly = deaths(trials, forgiven_before) >= MAX_DEATHS
    is_hopeless = is_deadly or len(failed) >= max_attempts or any(t.user_attrs.get("final") for t in failed)
    if not trials:
        return CellStatus(cell, "WAITING")
    done = complete_trial(trials)
    last = done or trials[-1]
    attrs = last.user_attrs
    running = last.state == TrialState.RUNNING and stale_reason is None
    state: State = "RUNNING" if running else "FAILED" if is_hopeless else "WAITING"
    if done is not None:
        state = "COMPLETE" if done.state == TrialState.COMPLETE else "PRUNED"
    return CellStatus(
        cell,
        state,
        attempts=len(failed),
        reason=_reason(state, trials, stale_reason, is_deadly),
        worker=attrs.get("worker"),
        lease_age=max(0.0, now - attrs.get("lease", now)) if running else None,
        log=str(attrs.get("log", "")),
        trial=last.number,
        started=last.datetime_start,
        value=last.value if state == "COMPLETE" else None,
        record=CellRecord.from_json(attrs.get("results", {}) if state == "COMPLETE" else {}),
        settings=attrs.get("settings", {}),
        origin=str(attrs.get("origin", "")),
    )


def _reason(
    state: State, trials: Sequence[FrozenTrial], stale_reason: str | None, is_deadly: bool
) -> str | None:
    """Why the last attempt that is over did not complete; None where none failed, or all is well."""
    if state == "COMPLETE":
        return None
    if is_deadly and state == "FAILED":
        return f"{DIED}, {MAX_DEATHS} times without getting further"
    if stale_reason:
        return stale_reason  # nobody has come by since to write it down
    reasons = [str(trial.user_attrs["reason"]) for trial in trials if "reason" in trial.user_attrs]
    return reasons[-1] if reasons else None
