"""Whose fault it is that a worker is gone: the cell's, or that of who told it to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from cmae_ablate.queue import Queue
from cmae_ablate.queue.lease import Sign
from cmae_ablate.queue.owner import Owner
from tests.queue.harness import plan

Open = Callable[..., Queue]


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
