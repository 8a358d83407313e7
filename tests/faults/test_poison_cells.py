"""A cell that kills whatever process trains it, by a signal as a segmentation fault sends it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.inside import command_with
from tests.whole_study import control_trials, optuna_trials, start_command, write_study

# MLflow's own dependencies warn about each other.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
POISON = """
import os, signal
from cmae_ablate.runner import attempt
def run_any(cell, *arguments, before=attempt.run_any):
    if (cell.variant.label, cell.seed) == ("depth 1", 0):
        with marker.open("a") as deaths:
            deaths.write("died ")
        os.kill(os.getpid(), signal.SIGSEGV)
    return before(cell, *arguments)
attempt.run_any = run_any
"""


def states(out: Path) -> dict[str, int]:
    """How many trials of the table and of the controls are in each state."""
    found = [trial.state.name for trial in (*optuna_trials(out), *control_trials(out))]
    return {name: found.count(name) for name in found}


def test_a_cell_that_kills_its_process_goes_last_and_fails_after_three(tmp_path: Path) -> None:
    study, out, marker = write_study(tmp_path), tmp_path / "runs", tmp_path / "deaths"
    options = ["--out", str(out), "--workers", "1", "--seeds", "1", "--device", "cpu"]

    def ran() -> tuple[int, str]:
        process = start_command(command_with(POISON, marker, "run", str(study), *options))
        output = process.communicate(timeout=600)[0]
        return process.returncode, output

    # The first cell in the study's order: nothing is done yet, and the process is gone.
    assert ran()[0] == -signal.SIGSEGV
    assert "COMPLETE" not in states(out)
    # From now on it goes last.
    assert ran()[0] == -signal.SIGSEGV
    done = states(out)["COMPLETE"]
    assert done >= 1
    assert ran()[0] == -signal.SIGSEGV
    status, output = ran()
    assert status == 1, output
    assert "depth 1" in output
    assert "3 times" in output
    assert "Traceback" not in output
    assert marker.read_text().split() == ["died"] * 3
    assert states(out)["COMPLETE"] == 4  # the other cell of the table, and three controls
