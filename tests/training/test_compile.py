"""What a CPU can show of the compiled GPU path: one graph without breaks, and the same losses."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.data.arrays import DataArrays, ExpectedSize
from cmae_ablate.errors import Interrupted
from cmae_ablate.runner import step_timer, timing
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.hours import Workload, estimate
from cmae_ablate.runtime import Runtime, stream
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training import loop
from cmae_ablate.training.cost import measure
from cmae_ablate.training.loop import Hooks, pretrain
from cmae_ablate.training.model import assemble

load_components()
OBJECTIVES = ("objectives.contrastive", "objectives.position", "objectives.uniformity")
COMPONENTS = [
    (slot, component.name) for slot in ("decoder", "target", *OBJECTIVES) for component in SLOTS[slot]
]
SMALL = {"dim": 32, "depth": 1, "heads": 2}
BREAKS_THE_GRAPH = {"dropped"}  # draws from a CPU generator within its forward pass


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


@pytest.mark.parametrize(("slot", "name"), COMPONENTS)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # at a break
def test_the_forward_pass_is_one_graph_with_the_losses_of_the_plain_one(
    slot: str, name: str, tiny_spec: TrialSpec
) -> None:
    options = {key: value for key, value in SMALL.items() if key in SLOTS[slot][name].options.model_fields}
    change = {slot: {"name": name, **options}}
    spec = resolve(apply(tiny_spec.to_tree(), (), change), 0)
    model = assemble(spec, 32)
    images = [
        torch.randn(4, 3, 32, 32, generator=stream(0, "image", view)) for view in range(model.num_views)
    ]
    masks = model.sample_masks(4, 0, 0, 0)
    losses = []
    # fullgraph: a break is an error. The eager backend traces and guards as inductor's front end does.
    whole = name not in BREAKS_THE_GRAPH
    for forward in (model, torch.compile(model, fullgraph=whole, backend="eager")):
        terms = forward(images, masks, {key: stream(0, key) for key in spec.objectives})
        losses.append({key: term.loss.detach() for key, term in terms.items()})
    assert len(losses[0]) == 1 + slot.startswith("objectives.")
    torch.testing.assert_close(losses[1], losses[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # inductor's own, and those of the toolchain that it calls
def test_a_compiled_training_follows_the_plain_one(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    change = {"training": {"epochs": 1, "compile": True}, "objectives.contrastive": {"name": "moco_v3"}}
    spec = resolve(apply(tiny_spec.to_tree(), (), change), 0)
    plain, compiled = (
        pretrain(spec, tiny_data, Runtime(compile=on), tmp_path / str(on)).history[-1] for on in (False, True)
    )
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=1e-4)


class SlowCompiler:
    """Stands for `torch.compile`: the first call of what it made takes a thousand seconds by the clock.

    What a step itself takes is real time and subtracted again, so tests leave a hundred seconds either way.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: Any) -> None:
        self.ahead = 0.0
        clock = SimpleNamespace(
            perf_counter=lambda: time.perf_counter() + self.ahead,
            thread_time=time.thread_time,
            monotonic=time.monotonic,
        )
        for module in modules:
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(torch, "compile", self.compile)

    def compile(self, module: Any, **_: Any) -> Any:
        is_compiled = False

        def forward(*arguments: Any) -> Any:
            nonlocal is_compiled
            self.ahead += 0.0 if is_compiled else 1000.0
            is_compiled = True
            return module(*arguments)

        return forward


def test_compiling_is_counted_apart_from_training_in_every_sitting(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SlowCompiler(monkeypatch, loop)
    runtime = Runtime(compile=True)
    steps: list[int] = []
    stopping = Hooks(on_step=lambda done, total: steps.append(done), should_stop=lambda: len(steps) == 3)
    with pytest.raises(Interrupted):
        pretrain(tiny_spec, tiny_data, runtime, tmp_path, stopping)
    done = pretrain(tiny_spec, tiny_data, runtime, tmp_path)
    assert 1900 < done.compiling < 2900
    assert 0 < done.seconds < 900


def test_nothing_is_counted_as_compiling_where_nothing_is_compiled(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    result = run_cell(tiny_spec, CellContext(tiny_data, Runtime(), tmp_path))
    assert "seconds.compile" not in result.metrics
    assert result.metrics["seconds.pretrain"] > 0


def test_a_cell_that_compiles_has_a_column_for_it(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SlowCompiler(monkeypatch, loop)
    result = run_cell(tiny_spec, CellContext(tiny_data, Runtime(compile=True), tmp_path))
    assert 900 < result.metrics["seconds.compile"] < 1900
    assert result.metrics["seconds.pretrain"] < 900


def test_a_plan_times_the_compiled_step_and_adds_its_compilation_once_a_cell(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    SlowCompiler(monkeypatch, loop, step_timer)
    spec = resolve(apply(tiny_spec.to_tree(), ("training",), {"compile": True}))
    work = Workload(spec, ExpectedSize(100, 30, 32, 32, "made up"), measure(spec, 32))
    (speed,) = timing.time_kinds([work], 1e12, Runtime(), workers=1).values()
    assert speed.measured
    assert 900 < speed.compiling < 1900
    seconds = 3600 * estimate(work, speed, "").hours
    assert 900 < seconds < 1900
