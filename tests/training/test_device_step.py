"""A step on a device waits for nothing that the device computes, and its shapes depend on no value.

Tensors on torch's `meta` device have shapes and no values: whatever would read one (`.item()`, a branch on a
tensor, `nonzero`, a copy back to the CPU) is an error there. So a CPU shows what CUDA graphs and unbroken
queues need; the same is asked of CUDA itself where there is one.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.data import images as batches
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.data.images import take
from cmae_ablate.data.uploads import upload
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import Hooks, _Training, pretrain

load_components()
SLOTS_IN_A_STEP = ("decoder", "masking", "target", "crop", "objectives.contrastive", "objectives.position")
CHANGES: list[dict[str, Any]] = [
    {},
    {"augmentation": {"strong_views": [0], "solarize": 0.5}},
    {"training": {"grad_clip": 1.0}},
    *({slot: {"name": component.name}} for slot in SLOTS_IN_A_STEP for component in SLOTS[slot]),
]
EVERY = pytest.mark.parametrize("change", CHANGES, ids=str)


def training(
    spec: TrialSpec, change: dict[str, Any], data: DataArrays, device: str, folder: Path
) -> _Training:
    tree = spec.to_tree()
    for slot, value in change.items():
        tree = apply(tree, tuple(slot.split(".")), value)
    made = _Training(resolve(tree), data, Runtime(torch.device(device)), folder, Hooks())
    made.model.train()
    return made


def train(steps: _Training, step: int) -> None:
    views = next(steps.batches.epoch(0, step, steps.model.num_views))
    steps._step(views, 0, step)


@EVERY
def test_a_step_reads_no_value_from_the_device(
    change: dict[str, Any],
    tiny_spec: TrialSpec,
    tiny_data: DataArrays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Autocast does not know this device; the step only turns it off.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    steps = training(tiny_spec, change, tiny_data, "meta", tmp_path)
    for step in range(2):
        train(steps, step)
    assert steps.meter.state()["sums"]["loss"].is_meta


def test_the_meta_device_refuses_what_would_wait() -> None:
    values = torch.ones(3, device="meta")
    for wait in (lambda: values.sum().item(), lambda: bool(values[0]), values.cpu, values.nonzero):
        with pytest.raises((RuntimeError, NotImplementedError)):
            wait()


@pytest.mark.gpu
@EVERY
def test_a_step_on_a_gpu_never_synchronises(
    change: dict[str, Any], tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    steps = training(tiny_spec, change, tiny_data, "cuda", tmp_path)
    train(steps, 0)  # what libraries set up at their first use may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        train(steps, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(steps.meter.state()["sums"]["loss"]).item()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_trains_in_every_precision(
    compiled: bool, precision: str, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    spec = resolve(apply(tiny_spec.to_tree(), ("training",), {"precision": precision, "compile": compiled}))
    runtime = Runtime(torch.device("cuda"), precision, compiled)  # type: ignore[arg-type]
    on_cpu = pretrain(tiny_spec, tiny_data, Runtime(), tmp_path / "cpu").history[-1]["loss"]
    assert pretrain(spec, tiny_data, runtime, tmp_path / "gpu").history[-1]["loss"] == pytest.approx(
        on_cpu, rel=1e-2
    )


class _Gpu:
    """As much of a device as `take` asks for; its tensors stay on the CPU."""

    type = "cuda"


@pytest.mark.parametrize(("free", "copies"), [(10**9, 1), (1000, 0)])
def test_images_are_copied_to_a_gpu_once_where_they_fit(
    free: int, copies: int, tiny_data: DataArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, read = _Gpu(), []

    def to(self: torch.Tensor, where: object, **_: Any) -> torch.Tensor:
        read.append(len(self))
        return self

    monkeypatch.setattr(batches, "_copies", [])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    indices = np.array([5, 3])
    for _ in range(2):
        found = take(tiny_data.train, indices, gpu)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.numpy(), tiny_data.train.images[indices])
    assert read.count(len(tiny_data.train)) == copies


def test_on_a_cpu_nothing_is_copied() -> None:
    values = torch.ones(3)
    assert upload(values, torch.device("cpu")) is values
