"""What a user waits for at the prompt: first lines, what only reads, known plans, mistakes, the first claim.

Every command is a process of its own, start-up included, after one round that is not counted: catalogue and
counts are then there, as they are for whoever calls a command a second time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.commands import (
    QUICK,
    STUDY,
    Taken,
    against,
    claimed,
    environment,
    flags,
    processor_seconds,
    taken,
    trained,
)
from benchmarks.setting import Setting
from benchmarks.thousand import WIDE
from benchmarks.timing import Comparison

FIRST_LINE, READING, MISTAKE = 0.5, 1.5, 1.0
PLAN, WIDE_PLAN, REPORT, CLAIM = 4.0, 6.0, 5.0, 4.0
SEEDS = 3
"""Of the study that is read: with as many it has intervals, as a user's has."""
FIRST_LINES = {
    "run": [str(STUDY)],
    "plan": [str(STUDY), "--json"],
    "worker": [str(STUDY)],
    "status": [str(STUDY)],
    "report": [str(STUDY)],
    "components": ["--json"],
    "studies": [],
    "schema": [],
    "init": [],
    "doctor": [],
    "data list": [],
    "data prepare": ["scenes"],
    "data show": ["scenes"],
    "cache list": [],
    "cache prune": [],
    "evaluate": ["absent.pt"],
    "reconstruct": ["absent.pt"],
    "export": ["absent.pt", "--format", "timm", "--out", "weights.pt"],
}
"""Every command, with arguments that it takes; given in an empty folder, and ended at its first line."""
MISTAKES = {
    "path": ["run", "studies/decodersize.yaml"],
    "study's name": ["plan", "decoder_siez"],
    "scale": ["plan", str(STUDY), "--scale", "tinny"],
    "device": ["run", str(STUDY), "--device", "gpu"],
    "CSV": ["report", str(STUDY), "--trials", "absent.csv"],
    "setting": ["run", str(STUDY), "--set", "backbone.dim=8.5"],
}


@dataclass(frozen=True)
class Wait:
    """Something that a user waits for.

    Attributes:
        name: What it is.
        limit: The seconds that it may take.
        measure: Does it.
    """

    name: str
    limit: float
    measure: Callable[[], Taken]


def run(setting: Setting) -> Iterator[Comparison]:
    """Everything at the prompt, each against what it may take: all in turns, so that rounds are alike."""
    rounds = 1 if setting.quick else setting.rounds
    with TemporaryDirectory(prefix="cmae-ablate-bench-") as folder:
        waits = [*_first_lines(), *_commands(), *_of_files(Path(folder), setting.quick)]
        waits.append(Wait("the first claim of `run` with two workers", CLAIM, _claim))
        found = [[wait.measure() for wait in waits] for _ in range(rounds + 1)][1:]
    for wait, times in zip(waits, zip(*found, strict=True), strict=True):
        yield against(wait.name, times, wait.limit)


def _claim() -> Taken:
    return claimed(["-m", "cmae_ablate"])


def _first_lines() -> Iterator[Wait]:
    for name, arguments in FIRST_LINES.items():
        yield Wait(f"first line of `{name}`", FIRST_LINE, partial(first_line, name, arguments))


def _wait(name: str, limit: float, *arguments: str, status: Sequence[int] = (0,)) -> Wait:
    return Wait(name, limit, partial(taken, arguments, status))


def _commands() -> Iterator[Wait]:
    """What needs no file of its own."""
    for kind, command in MISTAKES.items():
        yield _wait(f"a mistaken {kind} is refused", MISTAKE, *command, status=(2,))
    for command in (["studies"], ["components"], ["components", "moco_v3"]):
        yield _wait(f"`{' '.join(command)}`", READING, *command)
    yield _wait("plan of 12 cells, made before", PLAN, "plan", str(STUDY), "--device", "cpu")
    yield _wait("plan of 1,000 cells: 4 variants", WIDE_PLAN, "plan", str(STUDY), "--seeds", "250")


def _of_files(folder: Path, quick: bool) -> Iterator[Wait]:
    """A plan of many variants, and what reads a study that has run, which is run first."""
    wide = folder / "wide.yaml"
    count = 10 if quick else 250
    rates = ", ".join(f"r{index}: {1e-4 + index * 1e-6}" for index in range(count))
    wide.write_text(WIDE.format(levels=f"{{{rates}}}"))
    name = f"plan of {4 * count:,} cells: {count} variants"
    yield _wait(name, WIDE_PLAN, "plan", str(wide), "--device", "cpu")
    trained(STUDY, folder, QUICK, workers=2, seeds=1 if quick else SEEDS)
    options = [str(STUDY), "--seeds", str(1 if quick else SEEDS), "--out", str(folder), *flags(QUICK)]
    yield _wait("`status` of a study", READING, "status", *options)
    yield _wait("`report` of a study", REPORT, "report", *options)
    csv = folder / STUDY.stem / "trials.csv"
    tables = ["--trials", str(csv), "--out", f"{folder}/tables"]
    yield _wait("`report` from a CSV", REPORT, "report", str(STUDY), *tables)


def first_line(command: str, arguments: list[str]) -> Taken:
    """From a command's start to the first line on either stream; then it is ended."""
    with TemporaryDirectory(prefix="cmae-ablate-bench-") as folder:
        started, before = time.perf_counter(), processor_seconds()
        process = subprocess.Popen(
            [sys.executable, "-m", "cmae_ablate", *command.split(), *arguments],
            cwd=folder,
            env=environment(threads=1),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
        process.kill()  # long before it has imported what it would work with
        process.communicate()
    assert line.startswith(command.encode()), f"{command}: {line!r}"
    return Taken(seconds, processor_seconds() - before)
