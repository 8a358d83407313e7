"""What of a stranger's text is shown."""

from __future__ import annotations

import pytest

from cmae_ablate.errors import UserError, printable, readable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("größe 犬🐈.png", "größe 犬🐈.png"),
        ("e\u0301 \u200d", "e\u0301 \u200d"),  # an accent of its own, and what joins letters
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r"caf\xe9"),
        ("a\nb\x1b[31m\u2028", r"a\nb\x1b[31m\u2028"),
        ("\ud83d", r"\ud83d"),
        ("exe.\u202egnp", r"exe.\u202egnp"),
        ("\x9b2J\x00\x7f\r\x07", r"\x9b2J\x00\x7f\r\x07"),
        ("[/x] :smile:", "[/x] :smile:"),
    ],
)
def test_names_are_shown_so_that_they_can_be_printed_and_stored_anywhere(name: str, shown: str) -> None:
    assert readable(name) == shown


def test_lines_and_columns_stay_where_a_text_has_several() -> None:
    assert printable("a\n\tb\x1b") == "a\n\tb\\x1b"


def test_a_mistake_is_one_line_whatever_it_quotes() -> None:
    error = UserError("study.yaml: label 'a\nb\x1b]8;;http://x\x07' is wrong; change it")
    assert str(error) == r"study.yaml: label 'a\nb\x1b]8;;http://x\x07' is wrong; change it"
