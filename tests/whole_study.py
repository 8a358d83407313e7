"""Whole studies of seconds: how tests start, watch and repeat them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
from rich.console import Console

from cmae_ablate.runner.experiment import Places
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from tests.tiny import TINY_SCALE, TINY_STUDY

ROOT = Path(__file__).parents[1]
EPOCHS = 80
LONGER = (f"training.epochs={EPOCHS}",)


def write_study(folder: Path) -> Path:
    (folder / "scales").mkdir(parents=True)
    (folder / "scales" / "tiny.yaml").write_text(TINY_SCALE)
    (folder / "study.yaml").write_text(TINY_STUDY)
    return folder / "study.yaml"


def quiet() -> Console:
    return Console(file=io.StringIO(), width=140)


def said(console: Console) -> str:
    """What a quiet console was told, in one line."""
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def run(study: Path, out: Path, **options: object) -> int:
    return run_study(Options(study, workers=1, device="cpu", out=out, **options), quiet())  # type: ignore[arg-type]


def optuna_trials(out: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="study", storage=Places.below(out).storage).trials


def control_trials(out: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="study/controls", storage=Places.below(out).storage).trials


def start(
    study: Path, out: Path, *options: str, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """`cmae-ablate run` on the longer study, with two workers, in a process group of its own."""
    return start_command(
        [sys.executable, "-m", "cmae_ablate", *longer_run(study, out, *options)], variables=variables
    )


def longer_run(study: Path, out: Path, *options: str) -> list[str]:
    """Arguments of `cmae-ablate` for the longer study with two workers."""
    places = ["run", str(study), "--out", str(out), "--workers", "2", "--device", "cpu"]
    return [*places, "--set", LONGER[0], *options]


def start_command(
    command: Sequence[str], *, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A process in a group of its own, whose output can be read."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_a_checkpoint(out: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while not list(out.glob("cache/pretrain/*/step-*.pt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
