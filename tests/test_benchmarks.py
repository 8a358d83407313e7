"""The benchmarks work, and compare what is equal; how fast things are is no test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.timing import compare


def test_a_comparison_is_the_reference_over_ours_in_turns() -> None:
    calls: list[str] = []
    found = compare("order", lambda: calls.append("own"), lambda: calls.append("other"), rounds=2)
    assert calls == ["other", "own", "own", "other", "other", "own"]
    assert found.rounds == 2
    assert found.low <= found.ratio <= found.high


def test_the_step_is_compared_on_equal_losses_and_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="transformers, the reference, is absent")
    arguments = ["benchmarks", "--only", "step,overhead", "--rounds", "1", "--quick", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench.main()
    rows = json.loads((tmp_path / "results.json").read_text())["step"]["rows"]
    assert "loss and gradients equal to" in rows[0]["remark"]
    assert rows[0]["ratio"] > 0
    assert "| queue and tracking" in (tmp_path / "RESULTS.md").read_text()


def test_gradients_that_differ_are_no_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="transformers, the reference, is absent")
    from benchmarks import reference, step

    monkeypatch.setattr(reference, "largest_difference", lambda model, theirs: 1e-3)
    with pytest.raises(AssertionError, match=r"differ by 0\.001"):
        step.step(step.TINY[0], rounds=1)
