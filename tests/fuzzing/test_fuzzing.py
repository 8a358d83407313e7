"""A slice of `make fuzz`, and that it finds what it is for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from cmae_ablate.errors import UserError
from tests.fuzzing import run
from tests.fuzzing.mutation import mutated, mutated_lines, mutated_tree
from tests.fuzzing.run import fuzz
from tests.fuzzing.targets import Target
from tests.whole_study import ROOT


def test_spoilt_inputs_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    done, failures, _ = fuzz(tmp_path, seed=18, inputs=400, seconds=60)
    assert failures == []
    assert min(done.values()) > 0


def test_an_input_that_is_made_again_is_the_same() -> None:
    for mutate in (mutated, mutated_lines):
        first, second = (mutate(b"a: 1\nb: 2\n", [b"x: 3\n"], Random("1 study 7")) for _ in range(2))
        assert first == second
    tree = {"a": [1, {"b": "c"}], "d": 2.5}
    assert repr(mutated_tree(tree, Random(7))) == repr(mutated_tree(tree, Random(7)))
    assert tree == {"a": [1, {"b": "c"}], "d": 2.5}


def _fails_on_some(contents: bytes) -> None:
    match contents[0] % 5:
        case 0:
            raise KeyError("no refusal")
        case 1:
            raise UserError("a refusal")
        case 2:
            raise UserError("x" * 10_000)
        case 3:
            raise ZeroDivisionError


def test_failures_are_told_once_a_kind_with_their_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(lambda random: bytes([random.randrange(256)]), _fails_on_some, 1.0)
    monkeypatch.setattr(run, "targets", lambda folder: {"it": target})
    done, failures, _ = fuzz(tmp_path, seed=0, inputs=100, seconds=60)
    assert done == {"it": 100}
    assert sorted(each.what.split()[0] for each in failures) == ["KeyError", "ZeroDivisionError"]
    for failure in failures:
        contents, error = run.repeat(tmp_path, 0, "it", failure.index)
        assert contents == failure.contents
        assert type(error).__name__ == failure.what.split()[0]


def test_a_run_whose_time_is_up_says_so_and_does_not_pass() -> None:
    command = [sys.executable, "-m", "tests.fuzzing", "--inputs", "100000", "--seconds", "0"]
    ended = subprocess.run([*command, "--only", "set"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "time was up before all of the 100,000 inputs were read" in ended.stdout
