"""A step is timed with its share of the views, by the time of this thread alone.

The clocks are made up: they go on by a known amount for each view of a batch that is made and for each step
that is trained. What is measured is compared with what the steps of a whole training take by the same clocks.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor

from cmae_ablate.components.augmentations.standard import StandardAugmentation
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runner import step_timer, timing
from cmae_ablate.runner.step_seconds import seconds_per_step
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training import loop, views
from cmae_ablate.training.loop import pretrain
from tests.runner.workloads import workload

VIEW, STRONG_VIEW, STEP = 0.002, 0.005, 0.007
SECONDS = {
    "mae": ({}, 0.009),
    "two views": ({"training.num_views": 2}, 0.014),
    "strong": ({"augmentation.strong_views": [0]}, 0.012),
    "contrastive": ({"objectives.contrastive": {"name": "moco_v3"}, "crop.name": "contrastive"}, 0.014),
}
"""Settings, and what a step of them takes with its views; of two, the second is changed strongly."""


class Clocks:
    """Go on by what is done; that of the machine also by an hour whenever it is read: others are at work."""

    def __init__(self) -> None:
        self.thread = self.others = 0.0

    def thread_time(self) -> float:
        return self.thread

    def perf_counter(self) -> float:
        self.others += 3600.0
        return self.thread + self.others


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    found, augment, step = Clocks(), StandardAugmentation.__call__, loop._Training._step

    def slow_augment(self: StandardAugmentation, images: Tensor, view: int, rng: Any) -> Tensor:
        found.thread += STRONG_VIEW if view in self.strong_views else VIEW
        return augment(self, images, view, rng)

    def slow_step(self: loop._Training, *arguments: Any) -> None:
        found.thread += STEP
        step(self, *arguments)

    monkeypatch.setattr(StandardAugmentation, "__call__", slow_augment)
    monkeypatch.setattr(loop._Training, "_step", slow_step)
    own = SimpleNamespace(thread_time=found.thread_time, perf_counter=found.perf_counter)
    monkeypatch.setattr(step_timer, "time", own)
    return found


def changed(spec: TrialSpec, settings: dict[str, Any]) -> TrialSpec:
    return resolve(apply(spec.to_tree(), (), settings))


@pytest.mark.parametrize("name", SECONDS)
def test_a_step_takes_what_a_step_of_the_whole_training_takes(
    name: str,
    tiny_spec: TrialSpec,
    tiny_data: DataArrays,
    tmp_path: Path,
    clocks: Clocks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, seconds = SECONDS[name]
    spec = changed(tiny_spec, settings)
    monkeypatch.setattr(views.TrainingViews, "steps_ahead", lambda self, num_views: 3)
    measured = seconds_per_step(name, spec, tiny_data, Runtime())
    before = clocks.thread
    pretrain(spec, tiny_data, Runtime(), tmp_path)
    assert measured == pytest.approx((clocks.thread - before) / (2 * 4))  # two epochs of four steps
    assert measured == pytest.approx(seconds)


@pytest.mark.parametrize("name", SECONDS)
def test_a_plan_times_a_step_as_equal_time_does(
    name: str, tiny_spec: TrialSpec, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, seconds = SECONDS[name]
    monkeypatch.setattr(timing, "_encode_seconds", lambda *_: 1.0)
    work = workload(changed(tiny_spec, settings))
    (speed,) = timing.time_kinds([work], 1e12, Runtime(), workers=1).values()
    assert work.cost.flops_image * 16 / speed.training == pytest.approx(seconds)


def test_several_threads_are_timed_by_the_machines_clock(tiny_spec: TrialSpec, clocks: Clocks) -> None:
    one, two = (changed(tiny_spec, {"training.threads": threads}) for threads in (1, 2))
    assert step_timer.clock(one, Runtime()) == step_timer.clock(one, Runtime())
    assert step_timer.clock(two, Runtime()) < step_timer.clock(two, Runtime())
    assert step_timer.clock(one, Runtime(compile=True)) < step_timer.clock(one, Runtime(compile=True))
