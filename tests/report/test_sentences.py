"""`docs/sentences.md`: every kind of answer, as it is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmae_ablate.report.verdict import Verdict
from tests.report.sentences import CASES, PAGE, findings, page

AVOIDED = ("told apart", "told from", "not significant", "may be said", "n too small", "would tell")


def test_the_page_of_sentences_is_what_the_reports_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.report.sentences"


def test_every_verdict_is_among_the_cases(tmp_path: Path) -> None:
    seen = set()
    for index, case in enumerate(CASES.values()):
        folder = tmp_path / str(index)
        folder.mkdir()
        seen |= {each.verdict for each in findings(case, folder).answer.judged}
    assert seen == set(Verdict)


def test_no_sentence_has_words_that_a_reader_may_misread() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [words for words in AVOIDED if words in text] == []


def test_every_answer_begins_with_its_verdict() -> None:
    first = re.findall(r"## .*\n\n> (.*)  \n", PAGE.read_text(encoding="utf-8"))
    verdict = re.compile(
        r"Inconclusive|Insensitive|Incomplete|No answer|.* (is|are) (higher|lower|equal|identical)"
    )
    assert [line for line in first if not verdict.match(line)] == []
    assert len(first) == len(CASES)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "nsensitive" in case.title])
def test_an_insensitive_study_concludes_nothing_of_any_comparison(name: str, tmp_path: Path) -> None:
    found = findings(CASES[name], tmp_path).answer
    allowed = {Verdict.INSENSITIVE, Verdict.IDENTICAL, Verdict.INCOMPLETE}
    assert {each.verdict for each in found.judged} <= allowed
    assert not re.search("higher|lower|Holm", " ".join(found.lines))
