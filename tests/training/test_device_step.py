"""A step on a device waits for nothing that the device computes, and its shapes depend on no value.

`pretend_gpu` counts on a CPU what would make the host wait for a GPU; the same is asked of CUDA itself where
there is one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmae_ablate.components.augmentations.standard import StandardAugmentation
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
from tests.pretend_gpu import GPU, META, pretend_gpu

load_components()
SLOTS_IN_A_STEP = (
    "decoder",
    "masking",
    "target",
    "crop",
    "objectives.contrastive",
    "objectives.position",
    "objectives.uniformity",
)
CHANGES: list[dict[str, Any]] = [
    {},
    {"augmentation": {"strong_views": [0], "solarize": 0.5}},
    {"training": {"grad_clip": 1.0}},
    *({slot: {"name": component.name}} for slot in SLOTS_IN_A_STEP for component in SLOTS[slot]),
]
EVERY = pytest.mark.parametrize("change", CHANGES, ids=str)


SCRIPTED = "`torch.jit.script_method` is "
"""Torch of modules of its own, as its compiler imports them: Deprecation- in 2.11, FutureWarning in 2.14."""
SLOW_FP32 = "TensorFloat32 tensor cores for float32 matrix multiplication available but not enabled"
"""Torch 2.10's compiler of fp32 on a GPU, though that was asked for."""
SYNCHRONIZATION = "Synchronization debug mode is a prototype feature"


def may_compile(test: Any) -> Any:
    """Ignore what torch's compiler warns of on a GPU whatever it compiles; any other is an error."""
    for text, category in (
        (SCRIPTED, "DeprecationWarning"),
        (SCRIPTED, "FutureWarning"),
        (SLOW_FP32, "UserWarning"),
    ):
        test = pytest.mark.filterwarnings(f"ignore:{text}:{category}")(test)
    return test


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    """Let CUDA refuse whatever makes the host wait; undone in any case, or every test after would fail."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", SYNCHRONIZATION, UserWarning)
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def training(
    spec: TrialSpec, change: dict[str, Any], data: DataArrays, device: torch.device, folder: Path
) -> _Training:
    tree = spec.to_tree()
    for slot, value in change.items():
        tree = apply(tree, tuple(slot.split(".")), value)
    made = _Training(resolve(tree), data, Runtime(device), folder, Hooks())
    made.model.train()
    return made


def train(steps: _Training, step: int) -> None:
    views = next(steps.batches.epoch(0, step, steps.model.num_views))
    steps._step(views, 0, step)


LAUNCHES = 700
"""The most of a step of the smallest model, whatever a study adds to it: starting one takes microseconds."""
STRONG_VIEW = 140
"""The most of a strong view; image by image they were 410."""


@EVERY
def test_a_step_waits_for_no_copy_and_reads_no_value(
    change: dict[str, Any],
    tiny_spec: TrialSpec,
    tiny_data: DataArrays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cmae_ablate.training.views.AHEAD_BYTES", 0)  # this step's views alone
    with pretend_gpu() as traffic:
        steps = training(tiny_spec, change, tiny_data, GPU, tmp_path)
        train(steps, 0)  # what is sent once and kept: weights, images, tables
        traffic.clear()
        train(steps, 1)
        assert traffic.waits == []
        assert traffic.reads == []
        assert traffic.uploads > 0
        assert traffic.launches <= LAUNCHES
        assert steps.meter.state()["sums"]["loss"].is_meta


def test_an_epochs_losses_are_read_at_once(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    with pretend_gpu() as traffic:
        steps = training(tiny_spec, {"objectives.contrastive": {"name": "moco_v3"}}, tiny_data, GPU, tmp_path)
        train(steps, 0)
        traffic.clear()
        steps.meter.flush(0)
        assert len(traffic.reads) == 1


def test_a_strong_view_is_one_upload_and_few_launches() -> None:
    augmentation = StandardAugmentation(strong_views=(0,), solarize=0.5)
    with pretend_gpu() as traffic:
        images = torch.empty(16, 3, 32, 32, device=META)
        for _ in range(2):
            traffic.clear()
            augmentation(images, 0, torch.Generator())
    assert (traffic.uploads, traffic.waits, traffic.reads) == (1, [], [])
    assert traffic.launches <= STRONG_VIEW


def test_what_would_wait_is_counted() -> None:
    with pretend_gpu() as traffic:
        sent = torch.ones(3).to(GPU)
        sent.add_(upload(torch.ones(3), GPU))
        assert (traffic.launches, traffic.uploads, len(traffic.waits), len(traffic.reads)) == (1, 1, 1, 0)
        torch.tensor([1.0, 2.0], device=GPU)
        torch.tensor([1.0, 2.0], device=sent.device)
        torch.ones(3).to(sent.device, non_blocking=True)  # not pinned
        sent[torch.tensor([0, 1])]  # an index on the host is sent, too
        assert len(traffic.waits) == 5
        for read in (lambda: sent.sum().item(), lambda: bool(sent[0]), sent.cpu, sent.tolist, sent.nonzero):
            traffic.clear()
            read()
            assert len(traffic.reads) == 1


@pytest.mark.gpu
@EVERY
def test_a_step_on_a_gpu_never_synchronises(
    change: dict[str, Any], tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    steps = training(tiny_spec, change, tiny_data, torch.device("cuda"), tmp_path)
    train(steps, 0)  # what libraries set up at their first use may wait
    with waiting_is_an_error():
        train(steps, 1)
    assert torch.isfinite(steps.meter.state()["sums"]["loss"]).item()


@pytest.mark.gpu
@may_compile
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


@may_compile
@pytest.mark.parametrize("category", [DeprecationWarning, FutureWarning])
def test_what_torchs_compiler_says_of_torch_is_no_error_where_a_test_compiles(
    category: type[Warning],
) -> None:
    warnings.warn(
        f"{SCRIPTED}deprecated. Please switch to `torch.compile` or `torch.export`.", category, stacklevel=1
    )
    warnings.warn(f"{SLOW_FP32}. Consider setting it.", UserWarning, stacklevel=1)
    with suppress(AssertionError):  # outside a class it warns all the same, and then finds no frame
        torch.jit.script_method(test_on_a_cpu_nothing_is_copied)
    for text in ("`torch.jit.script` is deprecated", "`torch.compile` is deprecated"):
        with pytest.raises(category, match="is deprecated"):
            warnings.warn(text, category, stacklevel=1)


def test_what_torchs_compiler_says_is_an_error_in_every_other_test() -> None:
    with pytest.raises(DeprecationWarning, match="script_method"):
        warnings.warn(SCRIPTED, DeprecationWarning, stacklevel=1)


class SyncDebugMode:
    """`torch.cuda.set_sync_debug_mode` as it is on a GPU: the mode is set, then the first call warns."""

    def __init__(self, *, further: str = "") -> None:
        self.modes: list[str] = []
        self.further = further

    def __call__(self, mode: str) -> None:
        self.modes.append(mode)
        if len(self.modes) == 1:
            warnings.warn(f"{SYNCHRONIZATION} and does not yet detect all", UserWarning, stacklevel=2)
            if self.further:
                warnings.warn(self.further, UserWarning, stacklevel=2)


def test_that_the_debug_mode_is_a_prototype_fails_no_test(monkeypatch: pytest.MonkeyPatch) -> None:
    mode = SyncDebugMode()
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", mode)
    with pytest.raises(UserWarning, match="ours"), waiting_is_an_error():
        assert mode.modes == ["error"]
        warnings.warn("one of ours", UserWarning, stacklevel=1)
    assert mode.modes == ["error", "default"]


def test_a_warning_as_the_debug_mode_is_set_leaves_it_to_no_later_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mode = SyncDebugMode(further="the driver is too old")
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", mode)
    with pytest.raises(UserWarning, match="too old"), waiting_is_an_error():
        pass
    assert mode.modes == ["error", "default"]


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
