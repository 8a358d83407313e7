"""Steps are timed where they are trained: on a GPU by a process that ends with the answer."""

from __future__ import annotations

import sys

import pytest
import torch

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.runner import step_seconds
from cmae_ablate.runner.step_seconds import seconds_per_step
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec

AS_ON_A_GPU = (
    "import torch; from cmae_ablate.runner import step_seconds; "
    "step_seconds.pick_device = lambda wish: torch.device('cpu'); step_seconds._main()"
)
"""The program, on a machine without one."""
GPU = Runtime(torch.device("cuda", 0))


def test_on_a_cpu_this_process_times_them(
    tiny_spec: TrialSpec, tiny_data: DataArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_seconds, "answer_of", lambda *_: pytest.fail("another process was asked"))
    assert 0 < seconds_per_step("a", tiny_spec, tiny_data, Runtime()) < 60


def test_on_a_gpu_another_process_does(
    tiny_spec: TrialSpec, tiny_data: DataArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_seconds, "_timed", lambda *_: pytest.fail("timed in this process"))
    monkeypatch.setattr(step_seconds, "PROGRAM", (sys.executable, "-c", AS_ON_A_GPU))
    assert 0 < seconds_per_step("a", tiny_spec, tiny_data, GPU) < 60


def test_an_error_of_the_gpu_is_told_with_the_variant(
    tiny_spec: TrialSpec, tiny_data: DataArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_seconds, "PROGRAM", (sys.executable, "-c", "import os; os.abort()"))
    with pytest.raises(UserError, match=r"^variant 'a': timing its steps on the GPU ended with status -6"):
        seconds_per_step("a", tiny_spec, tiny_data, GPU)
    answer = 'print(\'{"error": "out of memory"}\')'
    monkeypatch.setattr(step_seconds, "PROGRAM", (sys.executable, "-c", answer))
    with pytest.raises(UserError, match=r"^variant 'a': out of memory$"):
        seconds_per_step("a", tiny_spec, tiny_data, GPU)
