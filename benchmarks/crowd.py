"""Many workers of one study at once: queue and tracking are real, training is a wait.

Two cores cannot train for a hundred workers. What a study shares between its workers they can serve, and
that is what decides whether ten times the machines finish ten times the cells.

Run:   make bench, or python -m benchmarks --only scaling
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import time
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks import overhead
from cmae_ablate.queue import PlannedCell, Queue
from cmae_ablate.tracking import MlflowTracker
from cmae_ablate.tracking.connection import load_mlflow
from tests.queue.harness import running_server

CELLS = 2
"""Of a worker."""
CONNECTIONS = 1000
_Done = tuple[float, int]
"""A worker's seconds beside waiting, and its bytes that are no other's."""


def main() -> None:
    """One point, printed as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.crowd", description=__doc__)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--wait", type=float, help="seconds a cell")
    arguments = parser.parse_args()
    print(json.dumps(point(arguments.workers, arguments.wait)))


def point(workers: int, wait: float) -> dict[str, float]:
    """Let `workers` processes work through two cells each, on PostgreSQL.

    They come one after another, evenly over the time of a cell: as from a cluster's queue, and as they would
    be spread after some cells of unequal length.

    Args:
        workers: At least 1.
        wait: Seconds that stand for a cell's training.

    Returns:
        `seconds`: of all workers together, what their cells took. `beside`: mean seconds of a cell beside
        the wait. `bytes`: mean memory of a worker that is no other's. `connections`: to the server, at most.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    count = CELLS * workers
    cells = overhead.planned(count)
    context = multiprocessing.get_context("fork")
    with running_server(max_connections=CONNECTIONS) as server, TemporaryDirectory() as folder:
        places = (server.new_database(), server.new_database(), folder)
        load_mlflow(places[1])
        # In another process: what is forked has no connection of its own.
        first = context.Process(target=_prepare, args=(*places, cells))
        first.start()
        first.join()
        assert first.exitcode == 0
        gate, done = context.Barrier(workers + 1), context.SimpleQueue()
        crowd = [
            context.Process(target=_work, args=(*places, cells, wait, wait * index / workers, gate, done))
            for index in range(workers)
        ]
        gc.freeze()  # as the launcher does; a collection would copy what the workers share
        for process in crowd:
            process.start()
        gate.wait()
        most = 0
        while any(process.is_alive() for process in crowd):
            most = max(most, server.connections())
            time.sleep(1)
        assert all(process.exitcode == 0 for process in crowd)
        beside, held = zip(*(done.get() for _ in crowd), strict=True)
    return {
        "count": workers,
        "seconds": sum(beside) + count * wait,
        "beside": sum(beside) / count,
        "bytes": sum(held) / workers,
        "connections": most,
    }


def _prepare(storage: str, tracking: str, folder: str, cells: list[PlannedCell]) -> None:
    overhead.opened(storage, tracking, folder, cells)[0].close()


def _work(
    storage: str,
    tracking: str,
    folder: str,
    cells: list[PlannedCell],
    wait: float,
    delay: float,
    gate: Barrier,
    done: SimpleQueue[_Done],
) -> None:
    queue = Queue(storage, "study", cells)
    tracker = MlflowTracker(tracking, Path(folder) / "artifacts", "study")
    gate.wait()
    time.sleep(delay)
    start, count = time.perf_counter(), 0
    while overhead.cell(queue, tracker, wait) is not None:
        count += 1
    beside = time.perf_counter() - start - count * wait
    queue.close()
    done.put((beside, psutil.Process().memory_full_info().uss))


if __name__ == "__main__":
    main()
