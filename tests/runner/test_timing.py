"""Predicted hours: what they are made of. How near they come is measured by `make bench`, not here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cmae_ablate.runner import hours, timing
from cmae_ablate.runner.hours import Speed, Workload, estimate, kinds_to_time, spread
from cmae_ablate.runner.step_timer import StepTime
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from tests.runner.workloads import workload


def calibrate(works: list[Workload], matmul: float, runtime: Runtime, workers: int) -> list[Speed]:
    """The speed of each, as a plan has it."""
    chosen = kinds_to_time(works)
    return spread(works, timing.time_kinds(chosen, matmul, runtime, workers), chosen)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SECONDS", 0.2)


def test_what_no_step_depends_on_is_timed_once(tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = []

    def time(work: Workload, *_: object) -> Speed:
        timed.append(work)
        return Speed(1.0 + len(timed), 1.0, measured=True)

    monkeypatch.setattr(timing, "_time", time)
    rates = [workload(tiny_spec, training={"base_lr": rate, "epochs": 3}) for rate in (1e-3, 2e-3)]
    other = workload(tiny_spec, decoder={"name": "linear"})
    speeds = calibrate([*rates, other], 1e9, Runtime(), workers=1)
    assert len(timed) == 2
    assert speeds[0] == speeds[1] != speeds[2]


def test_of_many_kinds_a_few_are_timed_and_the_others_are_as_fast_as_the_nearest(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours, "MOST", 2)
    monkeypatch.setattr(timing, "_time", lambda work, *_: Speed(work.cost.flops_image, 1.0, measured=True))
    works = [workload(tiny_spec, decoder={"depth": depth}) for depth in (1, 2, 9, 10)]
    speeds = [speed.training for speed in calibrate(works, 1e9, Runtime(), workers=1)]
    assert speeds[0] == speeds[1] == works[0].cost.flops_image
    assert speeds[2] == speeds[3] == works[3].cost.flops_image


@pytest.mark.parametrize("crop", ["random_resized", "contrastive", "ground_truth_box"])
def test_a_speed_is_found_by_steps_on_noise(crop: str, tiny_spec: TrialSpec) -> None:
    work = workload(tiny_spec, crop={"name": crop}, objectives__contrastive={"name": "moco_v3"})
    speed = calibrate([work], 1e12, Runtime(), workers=1)[0]
    assert speed.measured
    assert 1e5 < speed.training < 1e13
    assert 1e5 < speed.encoding < 1e13


def test_what_would_take_long_is_said_to_be_unmeasured(tiny_spec: TrialSpec) -> None:
    work = workload(tiny_spec)
    speed = calibrate([work], 1e6, Runtime(), workers=1)[0]
    assert not speed.measured
    assert "unmeasured" in estimate(work, speed, "cpu").basis


def test_steps_are_timed_at_the_batch_that_trains(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []

    def step(spec: TrialSpec, *_: object) -> StepTime:
        batches.append(spec.training.batch_size)
        return StepTime(1.0, 0.0)

    monkeypatch.setattr(timing, "time_steps", step)
    works = [workload(tiny_spec, decoder={"depth": depth}) for depth in range(1, 7)]
    # At the speed of a slow machine, however many variants share the seconds.
    calibrate(works, 2e10, Runtime(), workers=1)
    assert set(batches) == {16}


@pytest.mark.distributed
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no further processes without fork")
def test_the_background_load_works_and_is_gone_afterwards(tmp_path: Path) -> None:
    def work() -> None:
        (tmp_path / str(os.getpid())).touch()

    with timing._background_load(2, work):
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def wait_for(condition: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_calibration_leaves_the_random_generator_alone(tiny_spec: TrialSpec) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    calibrate([workload(tiny_spec)], 1e12, Runtime(), workers=1)
    assert torch.equal(torch.rand(4), expected)
