"""Cells that hang, in training and in an evaluation, in Python and in C: two signals end them at once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from cmae_ablate.runner.stopping import SAME_SECONDS, STOPPED, STOPPING
from tests.faults.aftermath import read_until
from tests.faults.inside import command_with
from tests.whole_study import optuna_trials, run, start_command, write_study

# MLflow's own dependencies warn about each other.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.distributed,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
HANGS = {
    "a training in a call into C": """
import ctypes
from cmae_ablate.components.decoders.linear import LinearDecoder
mutex = ctypes.create_string_buffer(64)
def forward(self, view, before=LinearDecoder.forward):
    if self.training and len(view.tokens) == 16:  # not the one step before anything is trained
        marker.touch()
        for _ in range(2):
            ctypes.CDLL(None).pthread_mutex_lock(mutex)  # its own: the call never comes back
    return before(self, view)
LinearDecoder.forward = forward
""",
    "an evaluation in a loop": """
from cmae_ablate.components.evaluations.knn import KNearestNeighbours
def evaluate(self, *arguments):
    marker.touch()
    while True:
        pass
KNearestNeighbours.__call__ = evaluate
""",
}


@pytest.mark.parametrize(
    ("hang", "workers", "number", "status"),
    [
        ("a training in a call into C", 1, signal.SIGINT, 130),
        ("an evaluation in a loop", 2, signal.SIGTERM, 143),
    ],
)
def test_two_signals_end_a_hanging_cell_as_kill_nine_would(
    hang: str, workers: int, number: signal.Signals, status: int, tmp_path: Path
) -> None:
    study, out, marker = write_study(tmp_path), tmp_path / "runs", tmp_path / "hangs"
    options = ["--out", str(out), "--workers", str(workers), "--seeds", "1", "--device", "cpu"]
    command = command_with(HANGS[hang], marker, "run", str(study), *options)
    process = start_command(command)
    while not marker.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    os.killpg(process.pid, number)  # as a terminal does: the workers hear of it, too
    read_until(process, STOPPING)
    time.sleep(2 * SAME_SECONDS)
    assert process.poll() is None
    os.killpg(process.pid, number)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == status, output
    assert STOPPED in output
    assert "memory" not in output
    running = [trial for trial in optuna_trials(out) if trial.state.name == "RUNNING"]
    assert running
    assert all(trial.user_attrs["told_to_stop"] for trial in running)
    assert run(study, out, seeds=1) == 0
    ended = [trial.user_attrs for trial in optuna_trials(out) if trial.state.name == "FAIL"]
    assert len(ended) == len(running)
    assert not any(attrs["counts"] or attrs.get("died") for attrs in ended)
