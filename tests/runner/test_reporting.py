"""The last lines on the screen: which cells are not complete, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cmae_ablate.report import write_report
from cmae_ablate.runner.reporting import say_failures, say_report
from tests.report.conftest import build_study
from tests.runner.test_results import status
from tests.whole_study import quiet, said


def test_every_cell_that_is_not_complete_is_named_with_its_reason_and_log() -> None:
    failed = replace(status("b", 1, None), state="FAILED", reason="no room", log="/runs/s/logs/3.log")
    console = quiet()
    assert say_failures([status("a", 0, {"knn.top1": 1.0}), failed, status("c", 0, None)], console) == 1
    assert said(console) == "failed: b, seed 1: no room; log: /runs/s/logs/3.log waiting: c, seed 0"


def test_a_complete_study_has_nothing_to_name() -> None:
    console = quiet()
    pruned = replace(status("b", 0, None), state="PRUNED", reason="below the median")
    assert say_failures([status("a", 0, {"knn.top1": 1.0}), pruned], console) == 0
    assert said(console) == ""


def test_what_the_marks_of_the_table_mean_is_said_below_it(tmp_path: Path) -> None:
    values = {"MAE": [30.0, 31.0, 32.5], "a": [30.4, 31.2, 33.1], "b": [30.1, 31.3, 32.2]}
    study, trials = build_study(values, seeds=2, contrasts=(("a", "MAE"),))
    console = quiet()
    say_report(write_report(study, trials, None, tmp_path / "marked"), study.question, tmp_path, console)
    told = said(console)
    assert "]*\u2020" in told
    assert "* includes seeds added later; \u2020 exploratory: not corrected for being one of many" in told
    study, trials = build_study(values)
    console = quiet()
    say_report(write_report(study, trials, None, tmp_path / "plain"), study.question, tmp_path, console)
    assert "\u2020" not in said(console)
