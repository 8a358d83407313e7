"""Workers without a cell wait for one and are in nobody's way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Thread

import pytest

from cmae_ablate.queue import PlannedCell, Queue, wait_for_a_cell
from cmae_ablate.queue.waiting import IDLE_SECONDS, pause
from cmae_ablate.report.cell_record import CellRecord
from tests.queue.harness import on_both, plan

Open = Callable[..., Queue]


def never() -> bool:
    return False


def waits_until_the_third_look(idle: Queue, act: Callable[[], object]) -> None:
    """There is nothing to claim until another worker acts, and then there is."""
    looks: list[bool] = []

    def stop() -> bool:
        looks.append(True)
        if len(looks) == 3:
            act()
        return False

    assert wait_for_a_cell([idle], stop)
    assert len(looks) > 3


def test_no_cell_is_waited_for_once_all_are_done(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1))
    claim = queue.claim("tester")
    assert claim is not None
    queue.finish(claim, 1.0, CellRecord())
    assert not wait_for_a_cell([queue], never)


def test_a_cell_that_nobody_has_is_not_waited_for(open_queue: Open) -> None:
    assert wait_for_a_cell([open_queue(plan(variants=1, seeds=1))], never)


@on_both
def test_a_cell_that_another_worker_gives_back_is_there_to_claim(open_queue: Open) -> None:
    cells = plan(variants=1, seeds=1)
    busy, idle = open_queue(cells), open_queue(cells)
    claim = busy.claim("busy")
    assert claim is not None
    waits_until_the_third_look(idle, lambda: busy.release(claim))
    assert idle.claim("idle") is not None


def sharing(*encoders: str) -> list[PlannedCell]:
    return [replace(cell, encoder=name) for cell, name in zip(plan(len(encoders), 1), encoders, strict=True)]


def test_a_cell_whose_encoder_another_is_at_is_taken_after_all_others(open_queue: Open) -> None:
    cells = sharing("one", "one", "two", "")
    busy, idle = open_queue(cells), open_queue(cells)
    first = busy.claim("busy")
    assert first is not None
    taken = [idle.claim("idle"), idle.claim("idle")]
    assert [claim.cell for claim in taken if claim is not None] == cells[2:]
    assert idle.claim("idle") is None  # the second cell could only wait for the first one's encoder
    assert idle.pending() == 4
    busy.finish(first, 1.0, CellRecord())
    last = idle.claim("idle")
    assert last is not None and last.cell == cells[1]


def test_cells_without_an_encoder_to_share_wait_for_nobody(open_queue: Open) -> None:
    cells = sharing("", "")
    queue = open_queue(cells)
    assert [claim.cell for claim in (queue.claim("a"), queue.claim("b")) if claim] == cells


def test_whoever_can_only_wait_for_an_encoder_looks_again_when_it_is_free(open_queue: Open) -> None:
    cells = sharing("one", "one")
    busy, idle = open_queue(cells), open_queue(cells)
    claim = busy.claim("busy")
    assert claim is not None
    waits_until_the_third_look(idle, lambda: busy.finish(claim, 1.0, CellRecord()))
    assert idle.claim("idle") is not None


@on_both
def test_waiting_takes_no_lock_and_ends_when_told_to(open_queue: Open) -> None:
    cells = plan(variants=1, seeds=1)
    busy, idle = open_queue(cells), open_queue(cells)
    assert busy.claim("busy") is not None
    answers = iter([False, False, True, True])
    found: list[bool] = []
    thread = Thread(target=lambda: found.append(wait_for_a_cell([idle], lambda: next(answers))), daemon=True)
    with busy._storage.lock():
        thread.start()
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert found == [False]


@pytest.mark.parametrize(("running", "factor"), [(1, 1), (10, 1), (100, 10)])
def test_where_many_run_idle_workers_look_less_often(running: int, factor: int) -> None:
    assert pause(running) == factor * IDLE_SECONDS
