"""A worker: claim a cell, run it, until nothing is left for anybody. Of several ranks, rank 0."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from cmae_ablate.distributed import DISMISSED
from cmae_ablate.queue import wait_for_a_cell
from cmae_ablate.runner.attempt import Attempt, Job, Tools


@dataclass(frozen=True)
class Worker:
    """What a worker works through, and with what.

    Attributes:
        jobs: Cells of the first are claimed before those of the next.
        tools: What it runs them with.
    """

    jobs: Sequence[Job]
    tools: Tools

    def run(self) -> int:
        """Run cells until none is left for anybody, or until told to stop.

        While others are at the last cells of a job, this one goes on to the next: a table's controls wait for
        nobody. A cell of an earlier job that becomes free again comes first.

        Returns:
            0, or the flag's exit status: then the cell under way wrote a checkpoint and is free again; 1
            where another rank was lost or a rank failed alone, so that those left cannot go on.
        """
        ranks, stop = self.tools.runtime.ranks, self.tools.stop
        name = f"{socket.gethostname()}-{os.getpid()}"
        queues = [job.queue for job in self.jobs]
        while not stop() and not ranks.broken:
            if not self._claim_one(name) and not wait_for_a_cell(queues, stop):
                break
        return 1 if ranks.broken else ranks.exchange(stop.status, DISMISSED)[0]

    def _claim_one(self, name: str) -> bool:
        """Run the first cell that is free, if any is."""
        for number, job in enumerate(self.jobs):
            claim = job.queue.claim(name, log=self.tools.log)
            if claim is not None:
                offset = sum(len(earlier.experiment.planned) for earlier in self.jobs[:number])
                Attempt(job, offset, claim, self.tools).run()
                return True
        return False
