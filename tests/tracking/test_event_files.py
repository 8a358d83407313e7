"""Event files, read by TensorBoard's own reader."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.tracking.event_reader import curve, read, shown_text

event_files = pytest.importorskip("cmae_ablate.tracking.event_files")


def test_what_is_appended_is_read_by_tensorboard(tmp_path: Path) -> None:
    file = event_files.new_file(tmp_path / "run", "curves")
    event_files.append(file, [event_files.number("loss", 0.5, 1), event_files.number("loss", math.nan, 2)])
    event_files.append(
        file, [event_files.number("loss", 0.25, 3), event_files.text("about", {"a|b": "c\nd"})]
    )
    steps = curve(tmp_path / "run", "loss")
    assert [step for step, _ in steps] == [1, 2, 3]
    assert steps[0][1] == 0.5
    assert math.isnan(steps[1][1])
    assert shown_text(tmp_path / "run", "about").splitlines() == [
        "name | value",
        "--- | ---",
        "a\\|b | c<br>d",
    ]


def test_a_file_takes_the_place_of_those_of_its_kind_alone(tmp_path: Path) -> None:
    event_files.append(event_files.new_file(tmp_path, "curves"), [event_files.number("loss", 3.0, 1)])
    for value in (1.0, 2.0):
        event_files.replace(tmp_path, "results", [event_files.number("top1", value, 5)])
    assert curve(tmp_path, "top1") == [(5, 2.0)]
    assert curve(tmp_path, "loss") == [(1, 3.0)]


@pytest.mark.parametrize("lost", [1, 9, 20])
def test_before_a_piece_of_a_record_all_is_read_and_nothing_is_raised(lost: int, tmp_path: Path) -> None:
    file = event_files.new_file(tmp_path, "curves")
    event_files.append(file, [event_files.number("loss", float(step), step) for step in (1, 2, 3)])
    file.write_bytes(file.read_bytes()[:-lost])
    assert [step for step, _ in event_files.read(tmp_path, "curves")] == [1, 2]
    assert curve(tmp_path, "loss") == [(1, 1.0), (2, 2.0)]


def test_what_is_no_event_file_is_read_as_empty(tmp_path: Path) -> None:
    (tmp_path / "events.x.curves").write_bytes(b"no event" * 40)
    assert event_files.read(tmp_path, "curves") == []
    assert read(tmp_path).Tags()["scalars"] == []
