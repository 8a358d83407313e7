"""One step before hour zero: where and how cells are trained, in a process of its own where that is a GPU."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from cmae_ablate.components.decoders.linear import LinearDecoder
from cmae_ablate.errors import UserError
from cmae_ablate.runner import hour_zero
from cmae_ablate.runner.hour_zero import Rehearsal, rehearse
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.model import smoke

AS_ON_A_GPU = (
    "import torch; from cmae_ablate.runner import hour_zero; "
    "hour_zero.pick_device = lambda wish: torch.device('cpu') if wish == 'cuda' else None; hour_zero._main()"
)
"""The program, on a machine without one."""


def changed(spec: TrialSpec, **settings: Any) -> TrialSpec:
    tree = spec.to_tree()
    for path, value in settings.items():
        tree = apply(tree, tuple(path.split("__")), value)
    return resolve(tree)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Where the decoder computes, and in which type autocast lets it."""
    seen: list[tuple[str, str]] = []
    forward = LinearDecoder.forward

    def watching(self: Any, view: Any) -> Any:
        device = view.tokens.device.type
        is_autocast = device == "cpu" and torch.is_autocast_enabled("cpu")
        seen.append((device, str(torch.get_autocast_dtype("cpu")) if is_autocast else ""))
        return forward(self, view)

    monkeypatch.setattr(LinearDecoder, "forward", watching)
    return seen


def test_the_step_has_the_precision_of_the_cell(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(monkeypatch)
    linear = changed(tiny_spec, decoder={"name": "linear"})
    rehearse([Rehearsal("plain", linear, 32)], "cpu")
    rehearse([Rehearsal("half", changed(linear, training={"precision": "bf16"}), 32)], "cpu")
    assert seen == [("cpu", ""), ("cpu", "torch.bfloat16")]


def test_the_step_is_taken_on_the_device_of_the_cell(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(monkeypatch)
    # A device without values, which every machine has.
    smoke(changed(tiny_spec, decoder={"name": "linear"}), 32, torch.device("meta"))
    assert seen == [("meta", "")]


def test_a_step_that_cannot_be_taken_names_its_variant(tiny_spec: TrialSpec) -> None:
    steps = [
        Rehearsal("good", tiny_spec, 32),
        Rehearsal("bad", changed(tiny_spec, backbone={"patch": 5}), 32),
    ]
    with pytest.raises(UserError, match=r"^variant 'bad': .*patch"):
        rehearse(steps, "cpu")


def test_steps_on_a_gpu_are_taken_by_a_process_of_its_own(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        hour_zero, "smoke", lambda *_: pytest.fail("taken in the process that starts workers")
    )
    monkeypatch.setattr(hour_zero, "PROGRAM", (sys.executable, "-c", AS_ON_A_GPU))
    rehearse([Rehearsal("good", tiny_spec, 32)], "cuda")
    with pytest.raises(UserError, match=r"^variant 'bad': .*patch"):
        rehearse([Rehearsal("bad", changed(tiny_spec, backbone={"patch": 5}), 32)], "cuda")


def test_an_error_of_the_gpu_is_told_with_a_remedy(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = (
        "from cmae_ablate.runner import hour_zero\n"
        "def smoke(*_): raise RuntimeError('CUDA error: no kernel image is available\\nmore')\n"
        "hour_zero.smoke = smoke\n"
    )
    monkeypatch.setattr(hour_zero, "PROGRAM", (sys.executable, "-c", failing + AS_ON_A_GPU))
    with pytest.raises(
        UserError, match=r"^variant 'a': one step on the GPU: RuntimeError: CUDA error: no kernel "
    ):
        rehearse([Rehearsal("a", tiny_spec, 32)], "cuda")
    monkeypatch.setattr(hour_zero, "PROGRAM", (sys.executable, "-c", "import os; os.abort()"))
    with pytest.raises(UserError, match=r"ended with status -6"):
        rehearse([Rehearsal("a", tiny_spec, 32)], "cuda")
