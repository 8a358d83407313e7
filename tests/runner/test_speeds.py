"""How fast a machine is: timed once a day, and never taken for another machine's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cmae_ablate.data.arrays import ExpectedSize
from cmae_ablate.runner import speeds as module
from cmae_ablate.runner.counts import count
from cmae_ablate.runner.hours import Speed, Workload
from cmae_ablate.runner.kept import Kept
from cmae_ablate.runner.speeds import Machine, speeds
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve


def refused(text: str) -> None:
    pytest.fail(text)


def changed(spec: TrialSpec, path: tuple[str, ...], value: object) -> TrialSpec:
    return resolve(apply(spec.to_tree(), path, value))


class Timing:
    """Stands for the timing of work: how often it was asked, and for what."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, chosen: list[Workload], machine: Machine, precision: str) -> object:
        self.asked.append(len(chosen))
        gemm = {"matmul": 1e10, "when": 1000.0}
        return gemm, {each.kind: Speed(each.cost.flops_image, 1.0, measured=True) for each in chosen}


def test_speeds_are_timed_once_a_day_for_each_machine(
    tiny_spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    timing = Timing()
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now[0]))
    monkeypatch.setattr(module, "_timed", timing)
    kept = Kept(tmp_path / "numbers.json", refused)
    size = ExpectedSize(100, 30, 32, 32, "made up")
    works = [
        Workload(spec, size, count(spec, 32, 10, kept).cost)
        for spec in (tiny_spec, changed(tiny_spec, ("decoder", "depth"), 2))
    ]
    alone = Machine("cpu", threads=1, workers=1)
    first, told = speeds(works, alone, kept)
    assert [speed.training for speed in first] == [work.cost.flops_image for work in works]
    assert "timed" not in told
    kept.save()
    kept = Kept(tmp_path / "numbers.json", refused)
    again, told = speeds(works, alone, kept)
    assert again == first
    assert ", timed 19" in told
    assert timing.asked == [2]
    speeds(works, Machine("cpu", threads=1, workers=2), kept)
    assert timing.asked == [2, 2]
    now[0] += 86401
    speeds(works, alone, kept)
    assert timing.asked == [2, 2, 2]
