from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from cmae_ablate.study.file_model import STRICT, FileModel, complaint, expected, expected_number


class Pair(FileModel):
    called: ClassVar[str] = "a pair"
    one: int
    two: Annotated[list[float], Field(min_length=2)]
    words: Annotated[str, expected("a word is expected; write one")] = "none"


def wrong(value: Any) -> tuple[tuple[str, ...], str]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, Pair]).validate_python({"at": value})
    return complaint(caught.value)


def test_an_unknown_key_comes_before_a_missing_one_and_both_before_any_value() -> None:
    assert wrong({"on": "x"}) == (("at", "on"), "a pair has no such key; did you mean 'one'?")
    assert wrong({"one": "x"}) == (("at", "two"), "this key is missing; add it, see studies/ for examples")
    assert wrong({"one": "x", "two": [1, 2]}) == (
        ("at", "one"),
        '"x" does not fit: it should be a valid integer',
    )


def test_a_value_is_named_with_its_own_place_and_words() -> None:
    assert wrong({"one": 1, "two": [1]}) == (("at", "two"), "[1] does not fit: 2 or more values are expected")
    assert wrong({"one": 1, "two": [1, True]})[0] == ("at", "two", "1")
    assert wrong({"one": 1, "two": [1, 2], "words": 3}) == (("at", "words"), "a word is expected; write one")
    assert "..." in wrong({"one": "x" * 5000, "two": [1, 2]})[1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1", "the text '1': quotes make it one; remove them"),
        ("one", '"one"'),
        ("nan", '"nan"'),
        (None, "null"),
    ],
)
def test_what_is_no_number_is_shown_and_quotes_around_one_are_said(value: Any, shown: str) -> None:
    count = Annotated[int, expected_number("a count is expected")]
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(count, config=STRICT).validate_python(value)
    assert complaint(caught.value) == ((), f"a count is expected, not {shown}")


@pytest.mark.parametrize(("value", "found"), [(None, "nothing is given"), ([1], "[1] has none")])
def test_what_is_no_mapping_is_said_to_lack_its_keys(value: Any, found: str) -> None:
    assert wrong(value) == (
        ("at",),
        f"a pair is made of keys, and {found}; give one, two, see studies/ for examples",
    )
