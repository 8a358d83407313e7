"""Waiting for other workers' cells: one may fail, be interrupted or lose its worker, and be free again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

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
        states = [status.state for queue in queues for status in queue.status()]
        if "WAITING" in states or "RUNNING" not in states:
            return "WAITING" in states
        until = time.monotonic() + pause(states.count("RUNNING"))
        while not stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, IDLE_SECONDS))
    return False


def pause(running: int) -> float:
    """Seconds between two looks at the queue, which cost the more the more cells are running."""
    return IDLE_SECONDS * max(1.0, running / CROWD)
