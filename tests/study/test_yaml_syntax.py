"""What is said of a file that is no YAML, and where: at the place to fix, not where parsing ended."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.study.yaml_source import load_yaml
from tests.tiny import TINY_STUDY

FAULTS = {
    "a second colon": ("a: 1\nb: Is it: yes?\n", "2:9", "put quotes around the text"),
    "a second colon below": ("a:\n  b: c: d\n", "2:7", "put quotes around the text"),
    "an apostrophe and a colon": ("a: it's: b\n", "1:8", "put quotes around the text"),
    "an open double quote": ('a: 1\nb: "Is it\nc: 3\n', "2:4", 'never closed; add " where its text ends'),
    "an open single quote": ("b: 'Is it\nc: 3\n", "1:4", "never closed; add ' where its text ends"),
    "a quote that the next one closes": ('a: "Is it\nb: 2\nc: "x"\n', "1:4", "closed only in line 3; add"),
    "a quote inside": ("a: 1\nb: 'Is it's\n", "2:11", "write '' for a quote inside"),
    "a text after a quote": ('a: "x" y\n', "1:8", 'write \\" for a quote inside'),
    "an open brace": ("a: 1\nb: {x: 1, y: 2\nc: 3\n", "2:4", "this { is still open in line 3; add }"),
    "an open brace at the end": ("a: 1\nb: {x: 1\n", "2:4", "this { is never closed; add }"),
    "an open bracket": ("b: [1, 2\nc: 3\n", "1:4", "this [ is still open in line 2; add ]"),
    "an open bracket at the end": ("b: [1, 2\n", "1:4", "this [ is never closed; add ]"),
    "an open bracket in braces": ("b: {x: [1, 2}\n", "1:8", "this [ is still open at the } of line 1; add ]"),
    "an open brace of a level": ("a:\n  b: {x: 1\n  c: {y: 2}\n", "2:6", "this { is still open in line 3"),
    "a bracket too many": ("a: [1, 2]]\n", "1:10", "nothing is open that this ] could close; remove it"),
    "no comma": ("a: {x: 1 y: 2}\n", "1:11", "separate entries by commas"),
    "no comma in a line below": ("a: {\n  x: 1 y: 2\n}\n", "2:9", "separate entries by commas"),
    "two documents": ("a: 1\n---\nb: 2\n", "2:1", "is one document"),
    "two documents with signs": ("---\na: 1\n---\nb: 2\n", "3:1", "is one document"),
    "a tab after a colon": ("a: 1\nb:\t2\n", "2:3", "a tab stands here; write a space instead"),
    "a tab at the beginning": ("a:\n\tb: 2\n", "2:1", "indent with spaces"),
    "a no-break space": ("a: 1\nb:\u00a02\nc: 3\n", "2:3", "(U+00A0, no-break space)"),
    "a no-break space above": ("b:\u00a02\na: 1\n", "1:3", "(U+00A0, no-break space)"),
    "a space of no width": ("a: 1\nb:\u200b2\n", "2:3", "(U+200B, zero width space)"),
    "another fault than a no-break space": ("a: 'b:\u00a0c'\nd: @x\n", "2:4", "begins with @"),
    "a space too many": (
        "a: 1\n b: 2\n",
        "2:2",
        "further than line 1, which has a value already; remove 1 space",
    ),
    "two spaces too many": (
        "a:\n  x: 1\n    # no\n    y: 2\n",
        "4:5",
        "than line 2, which has a value already; remove 2 spaces",
    ),
    "a space too few": ("a:\n  x: 1\n y: 2\n", "3:2", "align it with the lines that it belongs to"),
    "a space too many after braces": ("a: {x: 1}\n b: 2\n", "2:2", "remove 1 space"),
    "no space after a colon": ("a: 1\nb:2\nc: 3\n", "2:2", "a space is missing after this colon"),
    "no space after the first": ("a:1\nb: 2\n", "1:2", "a space is missing after this colon"),
    "no colon": ("a: 1\nb 2\nc: 3\n", "2:1", "as KEY: VALUE"),
    "a sign": ("a: 1\nb: @x\n", "2:4", "no plain text begins with @; put quotes around it"),
    "anything else": ('a: "\\q"\n', "1:6", "unknown escape character 'q'; fix the syntax there"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_said_in_one_line_at_the_place_to_fix(name: str, tmp_path: Path) -> None:
    text, place, words = FAULTS[name]
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_yaml(file)
    said = str(caught.value)
    assert said.startswith(f"{file}:{place}: ")
    assert words in said
    assert "\n" not in said


def test_whatever_is_broken_in_a_study_is_refused_in_words_or_read(tmp_path: Path) -> None:
    file, draw = tmp_path / "study.yaml", random.Random(0)
    for _ in range(300):
        at = draw.randrange(len(TINY_STUDY))
        put = draw.choice(
            ["", ":", ": ", " ", "\n", "\t", "\u00a0", "'", '"', "{", "}", "[", "]", ",", "---\n"]
        )
        file.write_text(TINY_STUDY[:at] + put + TINY_STUDY[at + draw.randrange(2) :], encoding="utf-8")
        try:
            load_yaml(file)
        except UserError as error:
            assert str(error).startswith(f"{file}:")
