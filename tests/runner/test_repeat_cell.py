"""One cell again: whether its weights are those recorded. That they are is tested on whole studies."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.queue import CellStatus, PlannedCell
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner import repeat_cell as module
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.repeat_cell import repeat_cell
from tests.whole_study import quiet, said, write_study


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(write_study(tmp_path), workers=1, device="cpu", out=tmp_path / "runs")


TRAINED = CellRecord(metrics={"knn.top1": 31.25}, weights_sha256="1" * 64)


def record(monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    """Let the queue know every cell with these weights, and each training end in those of `TRAINED`."""

    def read(experiment: Experiment) -> list[CellStatus]:
        def status(cell: PlannedCell) -> CellStatus:
            return CellStatus(cell, "COMPLETE", record=CellRecord.from_json({"weights_sha256": weights}))

        return [status(cell) for cell in experiment.planned]

    monkeypatch.setattr(module, "read_queue", read)
    monkeypatch.setattr(module, "run_any", lambda cell, context: TRAINED)


def test_a_cell_that_the_study_has_not_is_refused_with_those_it_has(options: Options) -> None:
    with pytest.raises(UserError, match=r"--cell linear:7: .*depth 1:0.*linear:1"):
        repeat_cell(options, "linear:7", quiet())


def test_other_weights_than_those_recorded_are_a_failure(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(monkeypatch, "0" * 64)
    console = quiet()
    assert repeat_cell(options, "linear:1", console) == 1
    assert f"weights_sha256: {'1' * 64} recorded: {'0' * 64}: NOT equal" in said(console)


def test_the_recorded_weights_are_a_success(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    record(monkeypatch, TRAINED.weights_sha256)
    console = quiet()
    assert repeat_cell(options, "linear:1", console) == 0
    assert "knn.top1: 31.25" in said(console)
    assert "equal to the recorded weights" in said(console)


def test_without_a_record_there_is_nothing_to_compare_with(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(monkeypatch, "")
    console = quiet()
    assert repeat_cell(options, "linear:1", console) == 0
    assert "nothing to compare with" in said(console)


@pytest.mark.parametrize(
    ("recorded", "status", "words"),
    [
        ({"knn.top1": 31.25, "seconds.evaluate": 9.0}, 0, "equal to the recorded metrics"),
        ({"knn.top1": 28.125}, 1, "recorded: knn.top1 28.125: NOT equal"),
        ({}, 0, "no result of this cell is recorded; nothing to compare with"),
    ],
)
def test_of_a_control_without_weights_the_metrics_are_compared(
    options: Options,
    monkeypatch: pytest.MonkeyPatch,
    recorded: dict[str, float],
    status: int,
    words: str,
) -> None:
    def read(experiment: Experiment) -> list[CellStatus]:
        before = CellRecord(metrics=recorded)
        return [CellStatus(cell, "COMPLETE", record=before) for cell in experiment.planned]

    monkeypatch.setattr(module, "read_queue", read)
    again = CellRecord(metrics={"knn.top1": 31.25, "seconds.evaluate": 5.0})
    monkeypatch.setattr(module, "run_any", lambda cell, context: again)
    console = quiet()
    assert repeat_cell(options, "raw pixels:0", console) == status
    assert "weights_sha256: none, as nothing is trained" in said(console)
    assert said(console).endswith(words)
