"""Where a trial computes: GPUs by name, none opened by who only plans, and every trial compiled."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runner import hour_zero, step_seconds, workers
from cmae_ablate.runner.launching import _devices
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from cmae_ablate.runtime import Runtime, seeded
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import pretrain
from cmae_ablate.training.model import smoke
from tests.whole_study import quiet, write_study


@pytest.mark.parametrize(
    ("listed", "visible", "workers", "expected"),
    [
        (None, 2, 3, ["0", "1", "0"]),
        ("4,5", 2, 2, ["4", "5"]),
        ("7", 1, 2, ["7", "7"]),
        ("GPU-8f2a, MIG-71c9/1/0", 2, 2, ["GPU-8f2a", "MIG-71c9/1/0"]),
        ("3,-1,5", 1, 2, ["3", "3"]),  # CUDA sees none after the first that is not there
    ],
)
def test_workers_get_the_gpus_of_their_parents_list(
    listed: str | None, visible: int, workers: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    if listed is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert _devices("auto", workers) == expected


def test_who_plans_or_computes_on_the_cpu_opens_no_gpu(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any, **__: Any) -> None:
        pytest.fail("a GPU was opened")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("current_device", "_lazy_init", "get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, opened)
    smoke(tiny_spec, 32)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # MLflow's dependencies
def test_who_starts_workers_on_gpus_opens_none_even_where_equal_time_is_measured_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any, **__: Any) -> None:
        pytest.fail("a GPU was opened")

    study = write_study(tmp_path)
    study.write_text(study.read_text() + "budget: time\n")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("current_device", "_lazy_init", "synchronize", "mem_get_info"):
        monkeypatch.setattr(torch.cuda, name, opened)
    # Processes that would ask the GPU, and what they would answer.
    for module, answer in {hour_zero: "null", step_seconds: '{"seconds": 0.01}'}.items():
        monkeypatch.setattr(module, "PROGRAM", (sys.executable, "-c", f"print({answer!r})"))
    started: list[int] = []
    monkeypatch.setattr(workers, "launch", lambda *given: started.append(given[2]) or [0, 0])
    options = Options(study, seeds=1, device="cuda", out=tmp_path / "runs")
    assert run_study(options, quiet()) == 1  # nobody trained anything
    assert started == [2]
    assert (tmp_path / "runs" / "study" / "budget.json").is_file()


def test_a_gpu_that_is_open_keeps_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.random, "fork_rng", partial(_Fork, kept))
    with seeded(0, "somewhere"):
        pass
    assert kept == [3]


class _Fork:
    def __init__(self, kept: list[int], devices: list[int]) -> None:
        kept.extend(devices)

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_every_variant_of_a_process_is_compiled_like_the_first(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torch gives up after 8 variants; here after 2, so that the test needs 3.
    limit = 2
    graphs: list[int] = []

    def counting(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        graphs.append(1)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counting))
    per_variant = []
    with torch._dynamo.config.patch(recompile_limit=limit):
        for depth in range(1, limit + 2):
            change = {"backbone": {"depth": depth}, "training": {"epochs": 1, "warmup_epochs": 0.0}}
            spec = resolve(apply(tiny_spec.to_tree(), (), change))
            pretrain(spec, tiny_data, Runtime(compile=True), tmp_path / str(depth))
            per_variant.append(len(graphs))
            graphs.clear()
    assert per_variant == [per_variant[0]] * (limit + 1)
    assert per_variant[0] > 0


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own word about the limit
def test_a_training_that_needs_too_many_graphs_is_an_error() -> None:
    class Wandering(torch.nn.Module):
        def forward(self, values: torch.Tensor, step: str) -> torch.Tensor:
            return values + len(step)

    forward = Runtime(compile=True).compiled(Wandering())
    with (
        torch._dynamo.config.patch(recompile_limit=2),
        pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit),
    ):
        for step in ("a", "bb", "ccc", "dddd"):
            forward(torch.ones(2), step)
