"""Logs of an `--out` that was moved or copied: queues record whole paths, which then name another folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cmae_ablate.queue import CellStatus

PARTS = 3
"""Of `STUDY/logs/worker-0.log`, the shortest path of a log below `--out`."""


def with_own_log(status: CellStatus, out: Path) -> CellStatus:
    """The cell with its log in this `--out`; where there is none, with the log as it was recorded.

    Args:
        status: Of the cell.
        out: The folder of all state, without links.
    """
    recorded = Path(status.log)
    if not status.log or recorded.is_relative_to(out):
        return status
    for first in range(1, len(recorded.parts) - PARTS + 1):
        own = out.joinpath(*recorded.parts[first:])
        if own.is_file():
            return replace(status, log=str(own))
    return status
