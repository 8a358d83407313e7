"""When a worker's hold on a cell is over, and whose fault that is."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import replace

import filelock
import pytest

from cmae_ablate.queue import Queue
from cmae_ablate.queue.lease import Sign
from cmae_ablate.queue.leases import Silence
from cmae_ablate.queue.owner import Owner
from tests.queue.harness import plan

Open = Callable[..., Queue]


def lease_of(queue: Queue, trial: int) -> object:
    """When a trial's lease was renewed last."""
    return queue._trials.read()[trial].user_attrs["lease"]


def test_a_process_that_was_told_to_stop_did_not_die_of_its_cell(open_queue: Open) -> None:
    cells = plan(variants=1, seeds=1)
    for _ in range(5):  # three deaths would fail it
        queue = open_queue(cells)
        queue._owner = replace(Owner.current(), started="before the machine was built")
        claim = queue.claim("stopped")
        assert claim is not None
        queue._renew(claim.trial, Sign(told_to_stop=True))
    status = open_queue(cells).status()[0]
    assert (status.state, status.attempts) == ("WAITING", 0)
    assert status.reason is not None
    assert status.reason.startswith("stopped at once")


def test_the_lease_says_at_once_that_the_worker_was_told_to_stop(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1), lease_seconds=3600)
    claim = queue.claim("worker")
    assert claim is not None
    with claim:
        claim.told_to_stop()
        deadline = time.monotonic() + 60
        while not queue._trials.read()[claim.trial].user_attrs.get("told_to_stop"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_clock_that_jumps_takes_no_cell_from_a_neighbour_that_lives(
    open_queue: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = plan(variants=1, seeds=1)
    holder, other = open_queue(cells), open_queue(cells)
    assert holder.claim("holder") is not None
    at = time.time()
    for hours in (24, -24):
        monkeypatch.setattr(time, "time", lambda hours=hours: at + 3600 * hours)
        assert other.claim("other") is None
        assert open_queue(cells).claim("one that starts now") is None


def test_a_worker_elsewhere_is_taken_for_dead_by_the_shared_clock(
    open_queue: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = plan(variants=1, seeds=1)
    elsewhere, other = open_queue(cells), open_queue(cells)
    elsewhere._owner = replace(Owner.current(), machine="another machine")
    assert elsewhere.claim("elsewhere") is not None
    assert other.claim("other") is None
    at = time.time()
    monkeypatch.setattr(time, "time", lambda: at + 3600)
    assert other.claim("other") is not None


def test_silence_starts_anew_with_each_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    silence, clock = Silence(), iter([0.0, 30.0, 50.0, 95.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    heard = [silence.of(7, lease) for lease in (1.0, 1.0, 2.0, 2.0)]
    assert heard == [0.0, 30.0, 0.0, 45.0]


def test_a_lock_that_fails_for_a_moment_ends_no_lease(
    open_queue: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = open_queue(plan(variants=1, seeds=1), lease_seconds=0.3)
    claim = queue.claim("worker")
    assert claim is not None
    before, acquire, failed = lease_of(queue, claim.trial), filelock.FileLock.acquire, []

    def stale_at_first(self: filelock.FileLock) -> filelock.AcquireReturnProxy:
        if len(failed) < 3:
            failed.append(self)
            raise OSError(errno.ESTALE, "Stale file handle")
        return acquire(self)

    monkeypatch.setattr(filelock.FileLock, "acquire", stale_at_first)
    with claim:
        deadline = time.monotonic() + 60
        while lease_of(queue, claim.trial) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(failed) == 3
        assert not claim.lost


def test_a_claim_is_patient_with_a_lock_that_fails_for_a_moment(
    open_queue: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = open_queue(plan(variants=1, seeds=1))
    acquire, failed = filelock.FileLock.acquire, []

    def full_at_first(self: filelock.FileLock) -> filelock.AcquireReturnProxy:
        if not failed:
            failed.append(self)
            raise OSError(errno.EMFILE, "Too many open files")
        return acquire(self)

    monkeypatch.setattr(filelock.FileLock, "acquire", full_at_first)
    assert queue.claim("worker") is not None
    assert failed
