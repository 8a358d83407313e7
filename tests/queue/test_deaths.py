"""Cells that their process dies on: last in the queue, and failed after three such deaths in a row."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from cmae_ablate.queue import Claim, PlannedCell, Queue
from cmae_ablate.queue.lease import Sign
from cmae_ablate.queue.owner import Owner
from cmae_ablate.report.cell_record import CellRecord
from tests.queue.harness import plan

Open = Callable[..., Queue]


def dying(open_queue: Open, cells: list[PlannedCell], *, advances: bool = False) -> str:
    """Claim a cell as a process that is dead by the time anybody looks; the cell's id."""
    queue = open_queue(cells)
    queue._owner = replace(Owner.current(), started="before the machine was built")
    claim = queue.claim("dying")
    assert claim is not None
    if advances:
        queue._renew(claim.trial, Sign(advanced=True))
    return claim.cell.id


def elsewhere(queue: Queue) -> Queue:
    """The queue as a process of another machine has it, which nobody here can look at."""
    queue._owner = replace(Owner.current(), machine="another machine")
    return queue


def claimed(queue: Queue) -> Claim:
    claim = queue.claim("living")
    assert claim is not None
    return claim


def test_a_cell_that_a_process_died_on_goes_last(open_queue: Open) -> None:
    cells = plan(variants=3, seeds=1)
    deadly = dying(open_queue, cells)
    assert deadly == cells[0].id
    queue = open_queue(cells)
    order = []
    for _ in range(3):
        claim = claimed(queue)
        order.append(claim.cell.id)
        queue.finish(claim, 1.0, CellRecord())
    assert order == [cells[1].id, cells[2].id, cells[0].id]


def test_three_deaths_in_a_row_fail_the_cell_and_name_the_cause(open_queue: Open) -> None:
    cells = plan(variants=2, seeds=1)
    queue = open_queue(cells)
    assert dying(open_queue, cells) == cells[0].id
    queue.finish(claimed(queue), 1.0, CellRecord())
    for _ in range(2):
        assert dying(open_queue, cells) == cells[0].id
    assert queue.claim("living") is None
    status = queue.status()[0]
    assert status.state == "FAILED"
    assert status.attempts == 0  # no attempt raised an error
    assert status.reason is not None
    assert "process died: it crashed, was killed, or ran out of memory, 3 times" in status.reason
    assert queue.pending() == 0
    queue.reset_failures()
    assert claimed(queue).cell.id == cells[0].id


def test_deaths_of_attempts_that_came_further_do_not_count(open_queue: Open) -> None:
    cells = plan(variants=1, seeds=1)
    for _ in range(2):
        dying(open_queue, cells)
    dying(open_queue, cells, advances=True)
    for _ in range(2):
        dying(open_queue, cells)
    queue = open_queue(cells)
    queue.finish(claimed(queue), 1.0, CellRecord())
    assert queue.status()[0].state == "COMPLETE"


def test_an_interrupted_attempt_is_no_death(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1))
    for _ in range(5):
        queue.release(claimed(queue))
    assert queue.status()[0].state == "WAITING"


def test_the_lease_says_at_once_that_an_attempt_has_come_further(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1), lease_seconds=3600)
    claim = claimed(queue)
    with claim:
        claim.advance()
        deadline = time.monotonic() + 30
        while not queue._trials.read()[claim.trial].user_attrs.get("advanced"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_lease_in_the_future_is_over(open_queue: Open) -> None:
    cells = plan(variants=1, seeds=1)
    queue = elsewhere(open_queue(cells))
    claim = claimed(queue)
    queue._trials.set(claim.trial, "lease", time.time() + 3600)
    other = open_queue(cells)
    assert claimed(other).cell.id == cells[0].id
    ahead = open_queue(cells)
    held = claimed(elsewhere(open_queue(plan(variants=1, seeds=1, settings="other"))))
    ahead._trials.set(held.trial, "lease", time.time() + 30)  # within a lease: clocks differ a little
    assert open_queue(plan(variants=1, seeds=1, settings="other")).claim("living") is None
