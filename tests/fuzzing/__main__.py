"""`make fuzz`: spoilt inputs by the hundred thousand; whatever is not read must be refused in one line.

python -m tests.fuzzing --inputs 100000 --seconds 600 --seed 0
python -m tests.fuzzing --only study --index 1234       one input again, with its traceback
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from pathlib import Path

from tests.fuzzing.run import Failure, fuzz, repeat

ENOUGH = 0.99
"""Part of the inputs asked for that is all of them: each target's share is rounded."""


def main() -> int:
    """0 where all inputs were read and nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many")
    parser.add_argument("--seconds", type=float, default=600, help="of processor time: stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="TARGET", help="one target alone")
    parser.add_argument("--index", type=int, help="with --only: this input alone")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where failing inputs go")
    chosen = parser.parse_args()
    if chosen.index is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff says what it thinks of each image
    with tempfile.TemporaryDirectory(prefix="cmae-fuzz-") as scratch:
        folder = Path(scratch)
        if chosen.only and chosen.index is not None:
            contents, error = repeat(folder, chosen.seed, chosen.only, chosen.index)
            print(repr(contents[:2000]))
            traceback.print_exception(error) if error else print("read, or refused in one line")
            return int(error is not None)
        done, failures, seconds = fuzz(
            folder, seed=chosen.seed, inputs=chosen.inputs, seconds=chosen.seconds, only=chosen.only
        )
    for target, count in done.items():
        print(f"{target:24} {count:8,} inputs")
    count = sum(done.values())
    print(f"{count:,} inputs in {seconds:.0f} s of processor time, {len(failures)} kinds of failure")
    for failure in failures:
        _keep(failure, chosen.keep, chosen.seed)
    if count < ENOUGH * chosen.inputs:
        print(f"time was up before all of the {chosen.inputs:,} inputs were read; give more --seconds")
        return 1
    return int(bool(failures))


def _keep(failure: Failure, folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{failure.target.replace('/', '-')}-{seed}-{failure.index}"
    path.write_bytes(failure.contents)
    print(f"FAILED {failure.target} --seed {seed} --index {failure.index}: {failure.what}; input: {path}")


if __name__ == "__main__":
    sys.exit(main())
