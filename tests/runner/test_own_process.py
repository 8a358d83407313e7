"""Another process answers in its last line, or says why it cannot."""

from __future__ import annotations

import sys

import pytest

from cmae_ablate.errors import DivergedError, UserError
from cmae_ablate.runner.own_process import answer_of, in_one_line


def program(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_the_answer_is_the_last_line_whatever_else_is_printed() -> None:
    code = "import json, sys; print('a warning'); print(json.dumps([json.load(sys.stdin), 1]))"
    assert answer_of(program(code), {"a": "\u00e9"}, "it") == [{"a": "\u00e9"}, 1]


def test_an_answer_counts_whatever_becomes_of_the_process_afterwards() -> None:
    code = "import os; print('[3]', flush=True); os.abort()"
    assert answer_of(program(code), None, "it") == [3]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "the step ended with status -6: no word"),
        ("print('null'); raise SystemExit('no GPU\\nat all')", "the step ended with status 1: at all"),
    ],
)
def test_a_process_that_fails_without_an_answer_is_said_with_its_last_word(code: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        answer_of(program(code), None, "the step")
    assert str(caught.value) == words


def test_an_error_of_the_gpu_is_one_line_with_a_remedy() -> None:
    error = RuntimeError("CUDA error: no kernel image\nmore")
    assert in_one_line(error, "a step") == (
        "a step: RuntimeError: CUDA error: no kernel image; the same may run with --device cpu"
    )


@pytest.mark.parametrize("kind", [UserError, DivergedError])
def test_a_mistake_of_the_user_is_said_as_it_is(kind: type[Exception]) -> None:
    assert in_one_line(kind("heads 3 does not divide dim 64; lower it"), "a step") == (
        "heads 3 does not divide dim 64; lower it"
    )
