"""What a user waits for: start-up, the plan, cells an hour by two workers and by one, the report."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from benchmarks.setting import Setting
from benchmarks.timing import Comparison, in_turns
from cmae_ablate.cli.planning import plan_variants
from cmae_ablate.runner.kept import Kept
from cmae_ablate.runner.launch.local import ALLOCATOR
from cmae_ablate.runner.options import Options
from cmae_ablate.study import design

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "studies" / "decoder_size.yaml"
SHORT = ["training.epochs=1", "dataset.num_train=3200", "dataset.num_validation=160", "dataset.num_test=320"]
QUICK = ["training.epochs=1", "dataset.num_train=64", "dataset.num_validation=32", "dataset.num_test=32"]
# Exit status 1: the study plans more seeds than these.
DONE = (0, 1)


def cmae(*arguments: str, threads: int = 1) -> int:
    """Run the command line; returns its exit status."""
    command = [sys.executable, "-m", "cmae_ablate", *arguments]
    return subprocess.run(command, env=environment(threads), capture_output=True, check=False).returncode


def environment(threads: int) -> dict[str, str]:
    # The allocator's thresholds are the launcher's business.
    given = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
    return {**given, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}


def run(setting: Setting) -> Iterator[Comparison]:
    """Start-up, plan, cells an hour, plan against what was measured, report."""
    rounds = 1 if setting.quick else setting.rounds
    yield within("`cmae-ablate --help`", rounds, 0.5, "--help")
    yield _first_claim(rounds)
    yield _workers(rounds, QUICK if setting.quick else SHORT)
    yield from _whole(QUICK if setting.quick else [])


@dataclass(frozen=True)
class Taken:
    """What something took that a user waits for.

    Attributes:
        seconds: By the clock.
        processor: Of all processors: whether a machine that others use is why it took long.
    """

    seconds: float
    processor: float


def taken(arguments: Sequence[str], status: Sequence[int] = (0,)) -> Taken:
    """What a command took, start-up included.

    Args:
        arguments: Of `cmae-ablate`.
        status: With which it may end.
    """
    started, before = time.perf_counter(), processor_seconds()
    found = cmae(*arguments)
    assert found in status, f"{' '.join(arguments)}: exit status {found}"
    return Taken(time.perf_counter() - started, processor_seconds() - before)


def against(name: str, found: Sequence[Taken], limit: float) -> Comparison:
    """How much faster something is than it must be."""
    used = np.median([each.processor for each in found])
    seconds = np.array([each.seconds for each in found])
    return Comparison.within(name, seconds, limit, f"{used:.2g} s of processor time")


def within(
    name: str, rounds: int, limit: float, *arguments: str, status: tuple[int, ...] = (0,)
) -> Comparison:
    """A command against what it may take, after one call that is not counted."""
    return against(name, [taken(arguments, status) for _ in range(rounds + 1)][1:], limit)


def processor_seconds() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _first_claim(rounds: int) -> Comparison:
    """Until a worker has claimed a cell: workers forked by the command, and ones that import alone."""
    # Nothing is forked from a process that had imported before it knew what for.
    programs = {
        "forked": ["-m", "cmae_ablate"],
        "new": ["-c", "import torch; from cmae_ablate.cli.app import main; main()"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}

    def study(name: str) -> None:
        seconds[name].append(claimed(programs[name]).seconds)

    in_turns([partial(study, name) for name in programs], rounds=rounds)
    return Comparison.of(
        "the first claim of two forked workers, against two that import for themselves",
        np.array(seconds["forked"][1:]),
        np.array(seconds["new"][1:]),
        remark="seconds since the command's start, its checks and a new MLflow store included",
    )


def claimed(program: list[str]) -> Taken:
    """From the start of a study to its first claim; then it is stopped."""
    with TemporaryDirectory() as folder:
        options = ["--seeds", "1", "--workers", "2", "--device", "cpu", "--out", folder, *flags(SHORT)]
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *program, "run", str(STUDY), *options],
            env=environment(threads=1),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not _has_claims(Path(folder) / "optuna.db"):
            assert process.poll() is None, f"exit status {process.returncode}"
            time.sleep(0.02)
        seconds, own = time.monotonic() - started, psutil.Process(process.pid)
        found = Taken(seconds, sum(map(_processor_seconds_of, [own, *own.children(recursive=True)])))
        process.terminate()
        process.wait()
        return found


def _processor_seconds_of(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _has_claims(store: Path) -> bool:
    if not store.exists():
        return False
    with closing(sqlite3.connect(store)) as opened, suppress(sqlite3.OperationalError):  # no tables yet
        return bool(opened.execute("SELECT 1 FROM trials WHERE state = 'RUNNING'").fetchall())
    return False


def _workers(rounds: int, settings: list[str]) -> Comparison:
    """Cells an hour of the same four cells, by two workers of one thread and by one worker of two."""
    spans: dict[int, list[float]] = {1: [], 2: []}

    def study(workers: int) -> None:
        with TemporaryDirectory() as folder:
            trained(STUDY, Path(folder), settings, workers)
            spans[workers].append(span(Path(folder)))

    in_turns([partial(study, 2), partial(study, 1)], rounds=rounds)
    return Comparison.of(
        "cells an hour, 2 workers against 1 worker with 2 threads",
        np.array(spans[2][1:]) / 4,
        np.array(spans[1][1:]) / 4,
        target=1.15,
        remark="4 cells of the cpu scale with half its images and 1 epoch; from the first claim to the last "
        "result, evaluation and tracking included, start-up and report not; times are of a cell",
    )


def _whole(settings: list[str]) -> Iterator[Comparison]:
    """Two shipped studies with one seed: what `plan` says of them against what they take; then a report."""
    for study in (STUDY.with_name("cmae_vs_mae.yaml"), STUDY):
        predicted = predict(study, settings)
        with TemporaryDirectory() as folder:
            trained(study, Path(folder), settings, workers=2)
            measured = sum((end - start).total_seconds() for start, end in cells(Path(folder)))
            yield Comparison(
                f"plan of {study.stem}: predicted over measured seconds of the cells",
                predicted / measured,
                predicted / measured,
                predicted / measured,
                measured,
                predicted,
                1,
                target=0.85,
                most=1.15,
                remark="cpu scale, 1 seed, 2 workers; ours: measured, reference: predicted",
            )
            if study == STUDY:
                report = ["report", str(study), "--seeds", "1", "--out", folder, *flags(settings)]
                yield within("report of a whole study", 1, 5.0, *report, status=DONE)


def predict(study: Path, settings: list[str]) -> float:
    """Seconds that `plan` predicts of the study's cells."""
    options = Options(study, settings=tuple(settings), seeds=1, workers=2, device="cpu")
    variants = design.variants(options.load())
    sizes = {variant.label: variant.spec["dataset"].build().expected_size() for variant in variants}
    unkept = Kept(None, notice=print)  # timed now
    plans = plan_variants(options, variants, 1, sizes, "cpu", unkept)
    return 3600 * sum(plan.hours.hours for plan in plans)


def trained(study: Path, out: Path, settings: list[str], workers: int, seeds: int = 1) -> None:
    """The study with so many seeds, run."""
    given = flags([*settings, f"training.threads={3 - workers}"])
    arguments = ["run", str(study), "--seeds", str(seeds), "--workers", str(workers), "--out", str(out)]
    status = cmae(*arguments, *given, threads=3 - workers)
    assert status in DONE, f"exit status {status}"


def span(out: Path) -> float:
    """Seconds from the first claim of a cell to the last result."""
    times = cells(out)
    return (max(end for _, end in times) - min(start for start, _ in times)).total_seconds()


def cells(out: Path) -> list[tuple[datetime, datetime]]:
    """When each complete cell was claimed and finished, by the queue."""
    query = "SELECT datetime_start, datetime_complete FROM trials WHERE state = 'COMPLETE'"
    with closing(sqlite3.connect(out / "optuna.db")) as store:
        rows = store.execute(query).fetchall()
    assert rows, "no cell is complete"
    return [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in rows]


def flags(settings: list[str]) -> list[str]:
    return [text for setting in settings for text in ("--set", setting)]
