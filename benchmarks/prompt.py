"""What a user waits for at the prompt: first lines, what only reads, known plans, mistakes, the first claim.

Every command is a process of its own, start-up included, after one round that is not counted: catalogue and
counts are then there, as they are for whoever calls a command a second time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.commands import QUICK, STUDY, claimed, environment, flags, trained, within
from benchmarks.setting import Setting
from benchmarks.thousand import WIDE
from benchmarks.timing import Comparison, in_turns

FIRST_LINE, READING, MISTAKE = 0.5, 1.5, 1.0
PLAN, WIDE_PLAN, REPORT, CLAIM = 4.0, 6.0, 5.0, 4.0
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
    "export": ["absent.pt"],
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


def run(setting: Setting) -> Iterator[Comparison]:
    """Everything at the prompt, each against what it may take."""
    rounds = 1 if setting.quick else setting.rounds
    for name, arguments in FIRST_LINES.items():
        yield first_line(name, arguments, rounds)
    for kind, command in MISTAKES.items():
        yield within(f"a mistaken {kind} is refused", rounds, MISTAKE, *command, status=(2,))
    for command in (["studies"], ["components"], ["components", "moco_v3"]):
        yield within(f"`{' '.join(command)}`", rounds, READING, *command)
    yield within("plan of 12 cells, made before", rounds, PLAN, "plan", str(STUDY), "--device", "cpu")
    yield within("plan of 1,000 cells: 4 variants", rounds, WIDE_PLAN, "plan", str(STUDY), "--seeds", "250")
    yield from _of_files(rounds, setting.quick)
    seconds = [claimed(["-m", "cmae_ablate"]) for _ in range(rounds + 1)]
    yield Comparison.within("the first claim of `run` with two workers", np.array(seconds[1:]), CLAIM)


def _of_files(rounds: int, quick: bool) -> Iterator[Comparison]:
    """A plan of many variants, and what reads a study that has run."""
    with TemporaryDirectory(prefix="cmae-ablate-bench-") as folder:
        wide = Path(folder) / "wide.yaml"
        count = 10 if quick else 250
        rates = ", ".join(f"r{index}: {1e-4 + index * 1e-6}" for index in range(count))
        wide.write_text(WIDE.format(levels=f"{{{rates}}}"))
        title = f"plan of {4 * count:,} cells: {count} variants"
        yield within(title, rounds, WIDE_PLAN, "plan", str(wide), "--device", "cpu")
        trained(STUDY, Path(folder), QUICK, workers=2)
        options = [str(STUDY), "--seeds", "1", "--out", folder, *flags(QUICK)]
        yield within("`status` of a study", rounds, READING, "status", *options)
        yield within("`report` of a study", rounds, REPORT, "report", *options)
        csv = Path(folder) / STUDY.stem / "trials.csv"
        tables = ["--trials", str(csv), "--out", f"{folder}/tables"]
        yield within("`report` from a CSV", rounds, REPORT, "report", str(STUDY), *tables)


def first_line(command: str, arguments: list[str], rounds: int) -> Comparison:
    """From a command's start to the first line on either stream."""
    found: list[float] = []

    def call() -> None:
        with TemporaryDirectory(prefix="cmae-ablate-bench-") as folder:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "cmae_ablate", *command.split(), *arguments],
                cwd=folder,
                env=environment(threads=1),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            assert process.stdout is not None
            line = process.stdout.readline()
            found.append(time.perf_counter() - started)
            process.kill()  # long before it has imported what it would work with
            process.communicate()
        assert line.startswith(command.encode()), f"{command}: {line!r}"

    in_turns([call], rounds=rounds)
    return Comparison.within(f"first line of `{command}`", np.array(found[1:]), FIRST_LINE)
