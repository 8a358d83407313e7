"""Cells that are wanted only once others have shown something: all who ask the database decide the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cmae_ablate.queue import CellStatus, Queue, passed, read_status
from cmae_ablate.report.cell_record import CellRecord
from tests.queue.harness import on_both, plan


def one_more(statuses: Sequence[CellStatus]) -> frozenset[str]:
    """The first two seeds; then seed after seed of depth 1 until there are four."""
    over = [
        s.cell.seed for s in statuses if s.cell.variant == "depth 1" and s.state in ("COMPLETE", "FAILED")
    ]
    first = [s for s in statuses if s.cell.seed < 2]
    most = min(len(over) + 1, 4) if all(s.state in ("COMPLETE", "FAILED") for s in first) else 2
    return frozenset(
        s.cell.id for s in statuses if s.cell.seed < 2 or (s.cell.variant == "depth 1" and s.cell.seed < most)
    )


@on_both
def test_two_launches_train_what_the_gate_lets_pass_once_each_and_nothing_else(
    open_queue: Callable[..., Queue], url: str
) -> None:
    cells = plan(2, 6)
    queues = [open_queue(cells, gate=one_more), open_queue(cells, gate=one_more)]
    taken: list[tuple[str, int]] = []
    while any(queue.pending() for queue in queues):
        claims = [claim for queue in queues if (claim := queue.claim("w")) is not None]
        for queue, claim in zip(queues, claims, strict=False):
            taken.append((claim.cell.variant, claim.cell.seed))
            queue.finish(claim, 1.0, CellRecord())
    assert len(taken) == len(set(taken))
    assert sorted(taken) == [("depth 0", 0), ("depth 0", 1), *(("depth 1", seed) for seed in range(4))]
    assert [s.cell.id for s in queues[0].status()] == [s.cell.id for s in queues[1].status()]
    seen = passed(one_more, read_status(url, "decoder_size", cells))
    assert [s.cell.id for s in seen] == [s.cell.id for s in queues[0].status()]
    assert len(queues[0].status(gated=False)) == len(cells)


def test_a_cell_that_fails_for_good_counts_as_over(open_queue: Callable[..., Queue]) -> None:
    queue = open_queue(plan(2, 6), gate=one_more, max_attempts=1)
    failed = 0
    while queue.pending():
        claim = queue.claim("w")
        assert claim is not None
        if claim.cell.seed == 1:
            failed += 1
            queue.fail(claim, "broken")
        else:
            queue.finish(claim, 1.0, CellRecord())
    assert failed == 2
    assert max(status.cell.seed for status in queue.status()) == 3


def test_what_an_interrupted_worker_gave_back_is_wanted_by_the_next(open_queue: Callable[..., Queue]) -> None:
    queue = open_queue(plan(2, 6), gate=one_more)
    claim = queue.claim("w")
    assert claim is not None
    queue.release(claim)
    again = queue.claim("w")
    assert again is not None
    assert again.cell == claim.cell


def test_a_result_that_nobody_wanted_stays_known(open_queue: Callable[..., Queue]) -> None:
    cells = plan(2, 6)
    everything = open_queue(cells)
    while (claim := everything.claim("w")) is not None:
        everything.finish(claim, 1.0, CellRecord())
    assert len(open_queue(cells, gate=one_more).status()) == len(cells)


def test_nothing_is_there_yet_for_who_only_looks(url: str) -> None:
    found = passed(one_more, read_status(url, "decoder_size", plan(2, 6)))
    assert [(s.cell.variant, s.cell.seed, s.state) for s in found] == [
        ("depth 0", 0, "WAITING"),
        ("depth 1", 0, "WAITING"),
        ("depth 0", 1, "WAITING"),
        ("depth 1", 1, "WAITING"),
    ]
