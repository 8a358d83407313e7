"""What a user waits for before anything is trained, and how two workers compare with one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.timing import Comparison, compare

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "studies" / "decoder_size.yaml"
SHORT = ["training.epochs=1", "dataset.num_train=3200", "dataset.num_validation=160", "dataset.num_test=320"]
QUICK = ["training.epochs=1", "dataset.num_train=64", "dataset.num_validation=32", "dataset.num_test=32"]


def cmae(*arguments: str, threads: int = 1) -> int:
    """Run the command line; returns its exit status."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "cmae_ablate", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def run(rounds: int, quick: bool) -> Iterator[Comparison]:
    """Start-up, then cells an hour."""
    few = 1 if quick else min(rounds, 5)
    yield _seconds("--help", few, 0.5, "--help")
    wrong = ["plan", str(STUDY), "--set", "decoder.nme=linear"]
    yield _seconds("a mistaken setting is refused", few, 5.0, *wrong, status=2)
    yield _workers(1 if quick else min(rounds, 3), QUICK if quick else SHORT)


def _seconds(name: str, rounds: int, limit: float, *arguments: str, status: int = 0) -> Comparison:
    def call() -> None:
        found = cmae(*arguments)
        assert found == status, f"{name}: exit status {found}"

    found = compare("", call, lambda: time.sleep(limit), rounds=rounds)
    return Comparison(
        f"{name}, against the {limit:g} s it may take",
        found.ratio,
        found.low,
        found.high,
        found.own_seconds,
        limit,
        rounds,
        target=1.0,
    )


def _workers(rounds: int, settings: list[str]) -> Comparison:
    """The same four cells by two workers of one thread, and by one worker of two."""
    with TemporaryDirectory() as folder:
        count = 0

        def study(workers: int) -> None:
            nonlocal count
            count += 1
            options = [*settings, f"training.threads={3 - workers}"]
            flags = [text for option in options for text in ("--set", option)]
            out = str(Path(folder) / str(count))
            arguments = ["run", str(STUDY), "--seeds", "1", "--workers", str(workers), "--out", out]
            # Exit status 1: the study plans more seeds than these.
            assert cmae(*arguments, *flags, threads=3 - workers) in {0, 1}

        return compare(
            "a study by 2 workers against 1 worker with 2 threads",
            lambda: study(2),
            lambda: study(1),
            rounds=rounds,
            target=1.15,
            remark="4 cells of one epoch, start-up, evaluation and report included",
        )
