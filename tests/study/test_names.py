from __future__ import annotations

import re

import pytest

from cmae_ablate.study.names import PRINTABLE, is_same, nearest


@pytest.mark.parametrize("name", ["a", "depth 8", "1.10", "\u00e9", "a\N{NO-BREAK SPACE}b", " a"])
def test_a_name_can_be_read(name: str) -> None:
    assert re.match(PRINTABLE, name)


@pytest.mark.parametrize("name", ["", " ", "\t", "\N{NO-BREAK SPACE}", "a\x00b", "a\nb", "\x7f", "a\x85"])
def test_what_cannot_be_read_or_printed_is_no_name(name: str) -> None:
    assert not re.match(PRINTABLE, name)


@pytest.mark.parametrize(
    ("one", "other", "expected"), [(1, 1.0, True), (1, True, False), ("1", 1, False), (None, False, False)]
)
def test_two_values_that_set_the_same_are_the_same(one: object, other: object, expected: bool) -> None:
    assert is_same(one, other) is expected


@pytest.mark.parametrize("word", ["two  words", "two words\N{ZERO WIDTH SPACE}"])
def test_a_name_that_looks_like_another_is_said_to_be_copied(word: str) -> None:
    assert "copy it from there" in nearest(word, ["two words"])
    assert ascii(word) in nearest(word, ["two words"])
    assert nearest("depth 9", ["depth 8", "linear"]) == "did you mean 'depth 8'?"
