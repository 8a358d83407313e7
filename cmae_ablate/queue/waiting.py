"""Waiting for other workers' cells: one may fail, be interrupted or lose its worker, and be free again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cmae_ablate.queue.cells import CellStatus
from cmae_ablate.queue.queue import Queue

IDLE_SECONDS, CROWD = 0.5, 10


def wait_for_a_cell(queues: Sequence[Queue], stop: Callable[[], bool]) -> bool:
    """Until there may be one to claim, without the lock that busy workers need.

    Args:
        queues: The cells, of a study and of its controls.
        stop: Asked at least every half second.

    Returns:
        False where none can be any more, and when told to stop.
    """
    while not stop():
        found = [queue.status() for queue in queues]
        running = sum(status.state == "RUNNING" for statuses in found for status in statuses)
        is_free = any(map(_has_a_free_cell, found))
        if is_free or not running:
            return is_free
        until = time.monotonic() + pause(running)
        while not stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, IDLE_SECONDS))
    return False


def _has_a_free_cell(statuses: Sequence[CellStatus]) -> bool:
    busy = {status.cell.encoder for status in statuses if status.state == "RUNNING"} - {""}
    return any(status.state == "WAITING" and status.cell.encoder not in busy for status in statuses)


def pause(running: int) -> float:
    """Seconds between two looks at the queue, which cost the more the more cells are running."""
    return IDLE_SECONDS * max(1.0, running / CROWD)
