"""TensorBoard as the user will find it: every test reads the folder with TensorBoard's own reader."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cmae_ablate.tracking import event_files, tensorboard_tracker
from cmae_ablate.tracking.tensorboard_tracker import TensorBoardTracker
from cmae_ablate.tracking.tracker import Findings, Subject
from tests.tracking.event_reader import curve, read, shown_text

CELL = ("depth 1", 0, "0123456789abcdef")
TAGS = {"fingerprint": CELL[2]}


@dataclass(frozen=True)
class Board:
    """A study's runs."""

    folder: Path

    def tracker(self) -> TensorBoardTracker:
        """As another process opens it."""
        return TensorBoardTracker(self.folder, "http://127.0.0.1:6006/")

    @property
    def cell(self) -> Path:
        return self.folder / "depth 1" / "seed 0 01234567"

    def train(
        self, epochs: Iterable[int], tracker: TensorBoardTracker | None = None, *, ends: bool = True
    ) -> None:
        run = (tracker or self.tracker()).start_cell(*CELL[:2], {"training.epochs": "3"}, TAGS)
        for epoch in epochs:
            run.log_metrics(epoch, {"loss": 1 / epoch})
        if ends:
            run.log_results(3, {"knn.top1": 50.0, "knn.top1@k=5": 1.0, "loss": 0.25})
            run.log_dict({"epochs": 3}, "configuration.json")
            run.finish("FINISHED")


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path / "study")


def test_a_cell_has_curves_results_and_parameters(board: Board, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"png")
    tracker = board.tracker()
    board.train([1, 2, 3], tracker)
    tracker.start_cell(*CELL[:2], {}, TAGS).log_artifact(tmp_path / "picture.png", "pictures")
    assert curve(board.cell, "loss") == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3)), (3, 0.25)]
    assert curve(board.cell, "knn/top1") == [(3, 50.0)]
    assert "training.epochs | 3" in shown_text(board.cell, "about")
    assert (board.cell / "configuration.json").read_text() == '{\n  "epochs": 3\n}'
    assert (board.cell / "pictures" / "picture.png").read_bytes() == b"png"
    assert tracker.address() == "http://127.0.0.1:6006/"


def test_a_resumed_cell_goes_on_in_its_run_without_doubling_epochs(board: Board) -> None:
    board.train([1, 2], ends=False)
    (file,) = board.cell.glob("events.*")
    with file.open("ab") as torn:  # killed while it wrote
        torn.write(b"\x18\x00\x00")
    board.train([2, 3])
    board.train([1, 2, 3])  # told again from the cache
    steps = [step for step, _ in curve(board.cell, "loss")]
    assert steps == [1, 2, 3, 3]  # the last is the result
    assert curve(board.cell, "knn/top1") == [(3, 50.0)]
    assert len(read(board.cell).Tensors("about/text_summary")) == 1


def test_only_cells_that_came_to_their_end_are_told(board: Board) -> None:
    other = ("linear", 0, "fff")
    assert board.tracker().untold([CELL, other]) == [CELL, other]
    board.train([1], ends=False)
    assert board.tracker().untold([CELL]) == [CELL]
    board.train([1, 2, 3])
    assert board.tracker().untold([CELL, other]) == [other]
    assert board.tracker().untold([(*CELL[:2], "another")]) == [(*CELL[:2], "another")]


def test_a_failed_cell_is_not_taken_for_one_that_ended(board: Board) -> None:
    board.tracker().start_cell(*CELL[:2], {}, TAGS).finish("FAILED")
    assert board.tracker().untold([CELL]) == [CELL]


def test_an_imported_cell_has_its_numbers_once_however_often_it_is_imported(board: Board) -> None:
    for _ in range(2):
        run = board.tracker().start_cell(*CELL[:2], {}, {**TAGS, "imported": "true"})
        run.log_metrics(0, {"knn.top1": 50.0})
        run.finish("FINISHED")
    assert curve(board.cell, "knn/top1") == [(0, 50.0)]
    assert board.tracker().untold([CELL]) == []


def test_runs_end_with_the_numbers_of_the_table(board: Board) -> None:
    board.train([1, 2, 3])
    for _ in range(2):
        board.tracker().settle_cells({CELL: {"knn.top1": 48.0}})
    assert curve(board.cell, "knn/top1") == [(3, 48.0)]
    assert curve(board.cell, "loss")[-1] == (3, 0.25)


def test_a_study_ends_with_means_and_an_answer_that_the_next_report_replaces(board: Board) -> None:
    tracker = board.tracker()
    tracker.open_study([], Subject("How small?", "knn.top1", {"command": "cmae-ablate run"}))
    for mean, answer in ((50.0, "unclear"), (51.0, "small")):
        findings = Findings(answer, {"depth 1": ("-1.0 [-2.0, 0.0]", "equal to depth 8")}, ())
        tracker.finish_study({"depth 1": {"knn.top1": mean, "knn.top1.std": 0.5}}, "FINISHED", findings)
    assert curve(board.folder / "depth 1", "knn/top1") == [(0, 51.0)]
    assert curve(board.folder / "depth 1", "knn/top1.std") == [(0, 0.5)]
    shown = shown_text(board.folder, "answer")
    assert "answer | small" in shown
    assert "depth 1 | -1.0 [-2.0, 0.0], equal to depth 8" in shown
    assert "question | How small?" in shown_text(board.folder, "study")


def test_faults_of_the_folder_are_said_once_and_made_up_for_by_the_next_command(
    board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk is full in epoch 2, in the middle of a record."""
    whole, written = tensorboard_tracker.append, []

    def full(file: Path, points: list[Any]) -> None:
        written.append(file)
        if 2 <= len(written) <= 4:
            with file.open("ab") as torn:
                torn.write(b"\x18\x00\x00")
            raise OSError(28, "No space left on device")
        whole(file, points)

    monkeypatch.setattr(tensorboard_tracker, "append", full)
    tracker = board.tracker()
    with caplog.at_level(logging.WARNING):
        board.train([1, 2, 3], tracker)
    assert [record.getMessage().count("No space left on device") for record in caplog.records] == [1]
    assert "training goes on" in caplog.text
    assert board.tracker().untold([CELL]) == [CELL]
    assert tracker.address() != ""  # it answers again
    board.train([1, 2, 3], tracker)
    assert [step for step, _ in curve(board.cell, "loss")] == [1, 2, 3, 3]
    assert board.tracker().untold([CELL]) == []


def test_a_folder_taken_away_stops_nothing(board: Board, caplog: pytest.LogCaptureFixture) -> None:
    board.folder.parent.mkdir(exist_ok=True)
    board.folder.write_text("a file in the way")
    tracker = board.tracker()
    with caplog.at_level(logging.WARNING):
        tracker.open_study([], Subject("How small?", "knn.top1"))
        board.train([1, 2, 3], tracker)
        tracker.settle_cells({CELL: {"knn.top1": 48.0}})
        tracker.finish_study({"depth 1": {"knn.top1": 50.0}})
        tracker.reconcile([], [])
    assert len(caplog.records) == 1
    assert tracker.address() == ""
    assert tracker.untold([CELL]) == [CELL]


def test_files_of_other_programs_in_the_runs_folder_are_left_alone(board: Board) -> None:
    board.cell.mkdir(parents=True)
    strange = board.cell / "events.out.tfevents.1.host"
    strange.write_bytes(b"not ours")
    board.train([1])
    assert strange.read_bytes() == b"not ours"


def test_numbers_are_read_back_in_single_precision(board: Board) -> None:
    value = 49.123456789
    board.tracker().start_cell(*CELL[:2], {}, TAGS).log_results(3, {"knn.top1": value})
    ((_, found),) = curve(board.cell, "knn/top1")
    assert found == pytest.approx(value, rel=2**-24)
    assert [step for step, _ in event_files.read(board.cell, "results")] == [3]
