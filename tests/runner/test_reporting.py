"""The last lines on the screen: which cells are not complete, and why."""

from __future__ import annotations

from dataclasses import replace

from cmae_ablate.runner.reporting import say_failures
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
