"""A whole study that is tracked in TensorBoard: trained, interrupted, resumed and imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.runner import run as running
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from tests.tracking.event_reader import curve, read, shown_text
from tests.whole_study import quiet, run, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def steps(board: Path, tag: str = "loss") -> dict[str, list[int]]:
    """The steps of a curve by run, for the runs of the study's own cells."""
    runs = {each.parent for each in board.glob("study/*/seed */events.*")}
    return {
        each.relative_to(board).as_posix().rpartition(" ")[0]: [step for step, _ in curve(each, tag)]
        for each in runs
        if tag in read(each).Tags()["scalars"]
    }


def test_a_study_in_tensorboard_is_interrupted_resumed_and_imported_without_a_point_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, board = write_study(tmp_path), tmp_path / "board of mine"
    address = f"tensorboard:{board}"
    cut = Options(study, workers=1, device="cpu", out=tmp_path / "runs", tracking=address, seeds=1)
    with monkeypatch.context() as interrupted:
        # As after `kill`: cells are trained and told, and nobody writes the report.
        interrupted.setattr(running, "_finish", lambda *ignored: 143)
        assert run_study(cut, quiet()) == 143
    console = quiet()
    assert run_study(cut, console) == 0
    assert "--logdir" in said(console)
    assert "then open http://127.0.0.1:6006/?runFilter=%5Estudy" in said(console)
    cells = {"study/depth 1/seed 0": [1, 2], "study/linear/seed 0": [1, 2]}
    assert steps(board) == cells
    assert steps(board, "knn/top1") == {"study/depth 1/seed 0": [2], "study/linear/seed 0": [2]}
    assert "Does the decoder matter?" in shown_text(board / "study", "answer")
    assert not (tmp_path / "runs" / "mlflow.db").exists()
    page = (tmp_path / "runs" / "study" / "index.html").read_text()
    assert "http://127.0.0.1:6006/?runFilter=" in page
    assert "MLflow" not in page

    trials, other = tmp_path / "runs" / "study" / "trials.csv", tmp_path / "other"
    for _ in range(2):
        options = Options(
            study, workers=1, device="cpu", out=tmp_path / "new", tracking=f"tensorboard:{other}", seeds=1
        )
        assert run_study(options, quiet(), [trials]) == 0
    assert steps(other, "knn/top1") == {"study/depth 1/seed 0": [0], "study/linear/seed 0": [0]}


def test_a_study_whose_folder_is_taken_away_is_trained_to_its_end_and_told_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, board = write_study(tmp_path), tmp_path / "board"
    opened = running.open_jobs

    def then_lost(*arguments: object) -> object:
        jobs = opened(*arguments)  # type: ignore[arg-type]
        for each in sorted(board.rglob("*"), reverse=True):
            each.unlink() if each.is_file() else each.rmdir()
        board.rmdir()
        board.write_text("in the way")
        return jobs

    with monkeypatch.context() as lost:
        lost.setattr(running, "open_jobs", then_lost)
        assert run(study, tmp_path / "runs", seeds=1, tracking=f"tensorboard:{board}") == 0
    assert board.read_text() == "in the way"
    board.unlink()
    assert run(study, tmp_path / "runs", seeds=1, tracking=f"tensorboard:{board}") == 0  # trains nothing
    assert steps(board) == {"study/depth 1/seed 0": [1, 2], "study/linear/seed 0": [1, 2]}
