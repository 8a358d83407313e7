"""Numbers that plans keep: found again, never those of other code, and never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.runner import counts
from cmae_ablate.runner.counts import count
from cmae_ablate.runner.hours import Speed, Workload
from cmae_ablate.runner.kept import MOST, Kept
from cmae_ablate.runner.speeds import Machine, speeds
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve


def refused(text: str) -> None:
    pytest.fail(text)


def test_what_was_kept_is_found_by_the_next_plan(tmp_path: Path) -> None:
    first = Kept(tmp_path / "plan" / "numbers.json", refused)
    first.keep("counts", ["a", 1], {"flops": 3})
    assert Kept(tmp_path / "plan" / "numbers.json", refused).find("counts", ["a", 1]) is None
    first.save()
    second = Kept(tmp_path / "plan" / "numbers.json", refused)
    assert second.find("counts", ["a", 1]) == {"flops": 3}
    assert second.find("counts", ["a", 2]) is None
    assert second.find("speeds", ["a", 1]) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"counts": 3, "speeds": {}}', b'{"counts": {}}'])
def test_damaged_numbers_are_not_used_the_reason_is_said_and_they_are_found_anew(
    damage: bytes, tmp_path: Path
) -> None:
    path, told = tmp_path / "numbers.json", []
    path.write_bytes(damage)
    kept = Kept(path, told.append)
    assert kept.find("counts", "a") is None
    assert len(told) == 1
    assert told[0].startswith(f"{path}: not used, and found anew (")
    kept.keep("counts", "a", 5)
    kept.save()
    assert Kept(path, refused).find("counts", "a") == 5


def test_a_number_that_was_changed_in_the_file_is_noticed(tmp_path: Path) -> None:
    path, told = tmp_path / "numbers.json", []
    kept = Kept(path, refused)
    kept.keep("counts", "a", 12345)
    kept.save()
    path.write_bytes(path.read_bytes().replace(b"12345", b"12346"))
    assert Kept(path, told.append).find("counts", "a") is None
    assert "SHA-256" in told[0]


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "numbers.json", refused)
    for index in range(MOST + 3):
        kept.keep("counts", index, index)
    kept.save()
    read = Kept(tmp_path / "numbers.json", refused)
    assert [read.find("counts", index) for index in (2, 3, MOST + 2)] == [None, 3, MOST + 2]


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Kept(tmp_path / "file" / "numbers.json", lambda text: None)
    kept.keep("counts", "a", 1)
    kept.save()
    nowhere = Kept(None, refused)
    nowhere.keep("counts", "a", 1)
    nowhere.save()


def changed(spec: TrialSpec, path: tuple[str, ...], value: object) -> TrialSpec:
    return resolve(apply(spec.to_tree(), path, value))


def test_a_trial_is_counted_once_whatever_its_learning_rate_and_again_where_its_work_differs(
    tiny_spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrialSpec] = []
    answers = counts.ask

    def ask(spec: TrialSpec) -> object:
        asked.append(spec)
        return answers(spec)

    monkeypatch.setattr(counts, "ask", ask)
    kept = Kept(tmp_path / "numbers.json", refused)
    found = count(tiny_spec, 32, kept)
    assert count(changed(tiny_spec, ("training", "base_lr"), 5e-3), 32, kept) == found
    assert len(asked) == 1
    kept.save()
    assert count(tiny_spec, 32, Kept(tmp_path / "numbers.json", refused)) == found
    assert len(asked) == 1
    deeper = count(changed(tiny_spec, ("decoder", "depth"), 2), 32, kept)
    assert deeper.cost.params_decoder > found.cost.params_decoder
    assert count(tiny_spec, 64, kept).cost.flops_image > found.cost.flops_image
    fine_tuned = changed(tiny_spec, ("evaluations", "fine_tune"), {"name": "fine_tune", "epochs": 3})
    assert count(fine_tuned, 32, kept).answers.passes == {"knn": 0, "linear_probe": 0, "fine_tune": 3}
    assert len(asked) == 4


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
    from types import SimpleNamespace

    from cmae_ablate.data.arrays import ExpectedSize
    from cmae_ablate.runner import speeds as module

    now = [1000.0]
    timing = Timing()
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now[0]))
    monkeypatch.setattr(module, "_timed", timing)
    kept = Kept(tmp_path / "numbers.json", refused)
    size = ExpectedSize(100, 30, 32, 32, "made up")
    works = [
        Workload(spec, size, count(spec, 32, kept).cost)
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
