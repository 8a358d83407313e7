"""A worker of cells that take no time, or one that claims and waits to be killed.

Usage: instant_worker.py URL drain VARIANTS SEEDS | instant_worker.py URL hold VARIANTS SEEDS
"""

from __future__ import annotations

import sys
import time

from cmae_ablate.queue import Queue
from cmae_ablate.report.cell_record import CellRecord
from tests.queue.harness import plan


def main() -> None:
    url, mode, variants, seeds = sys.argv[1:]
    queue = Queue(url, "decoder_size", plan(int(variants), int(seeds)))
    while True:
        claim = queue.claim(f"worker {mode}")
        if claim is None:
            if not queue.pending():
                return
            time.sleep(0.05)
            continue
        print(claim.cell.id, flush=True)
        if mode == "hold":
            with claim:
                time.sleep(600)
        queue.finish(claim, 1.0, CellRecord())


if __name__ == "__main__":
    main()
