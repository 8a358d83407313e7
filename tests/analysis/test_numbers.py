"""Every number of README.md and of `analysis/` stands in a committed CSV, and an altered one is noticed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.numbers import (
    BEFORE,
    HERE,
    LEDGER,
    NO_RESULTS,
    ROOT,
    Number,
    Source,
    documents,
    looked_up,
    may_be,
    numbers,
    problems,
    read_ledger,
    update,
)

SAMPLE = """# A study

Trained for `8.5` epochs (Python 3.11, arXiv 2205.10546), 12,800 images, [a link](file-1.25.csv).

| depth 1 | 3 | +1.52 [\N{MINUS SIGN}2.15, +5.19] | 1.5\N{MULTIPLICATION SIGN} |

It is lower by 8 points (95 % CI .25 to 0.50) in 95.1 to 95.4 % of studies, 3 times as often, by 1e-9.
"""


def altered(text: str, at: int) -> str:
    """The text with another digit there."""
    return f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}"


def far_apart(found: Iterable[Number]) -> list[list[Number]]:
    """All of them, in as many batches as none is among the words before another of its batch."""
    batches: list[list[Number]] = []
    for number in found:
        batch = next((each for each in batches if number.at - each[-1].at > 3 * BEFORE), None)
        if batch is None:
            batches.append([number])
        else:
            batch.append(number)
    return batches


def test_decimals_percentages_points_and_multiples_are_numbers_and_code_and_counts_are_not() -> None:
    found = [(number.text, number.no_result) for number in numbers(SAMPLE)]
    assert [text for text, what in found if not what] == [
        *("1.52", "2.15", "5.19", "1.5", "8", ".25", "0.50", "95.1", "95.4", "3"),
    ]
    assert [each for each in found if each[1]] == [("3.11", "version"), ("95", "level of an interval")]


def test_a_share_is_also_found_as_a_fraction() -> None:
    by_text = {number.text: number.scales for number in numbers(SAMPLE)}
    assert by_text["95.1"] == by_text["95.4"] == (1.0, 100.0)
    assert by_text["1.52"] == (1.0,)


@pytest.mark.parametrize(
    ("printed", "value", "is_it"),
    [
        ("1.52", 1.5208, True),
        ("1.52", -1.5249, True),  # the sign stands in the words
        ("1.52", 1.5251, False),
        ("8", 8.34, True),
        ("8", 8.51, False),
        ("95.1", 95.05, True),  # a half may be rounded either way
        ("0.600", 0.5996, True),
        ("0.600", 0.5994, False),
    ],
)
def test_a_number_is_a_value_rounded_as_it_is_printed(printed: str, value: float, is_it: bool) -> None:
    number = replace(next(numbers("by 0.00 points")), text=printed)
    assert number.is_rounded(value) is is_it


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_number_of_a_document_stands_in_a_committed_csv(document: Path) -> None:
    assert problems(document, document.read_text(encoding="utf-8"), read_ledger()) == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_altering_any_digit_of_any_number_is_noticed(document: Path) -> None:
    text, ledger = document.read_text(encoding="utf-8"), read_ledger()
    for batch in far_apart(numbers(text)):
        for place in range(max(len(number.text) for number in batch)):
            digits = [each for each in batch if each.text[place : place + 1].isdigit()]
            changed = text
            for number in digits:
                changed = altered(changed, number.at + place)
            # Where words repeat, the row of one number may bear out another's: then that one is told.
            told = problems(document, changed, ledger)
            assert len(told) >= len(digits), (place, [number.line for number in digits], told)


def test_altering_a_csv_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "The linear decoder is lower by 8.34 points."
    (number,) = numbers(text)
    source = Source("README.md", number.before, "8.34", "effects.csv", 0, "delta", 1.0, "linear")
    for name, value in (("same", -8.34375), ("other", -8.35)):
        (tmp_path / name).mkdir()
        pd.DataFrame({"delta": [value]}).to_csv(tmp_path / name / "effects.csv", index=False)
        monkeypatch.setattr("analysis.numbers.HERE", tmp_path / name)
        assert bool(problems(ROOT / "README.md", text, [source])) is (name == "other")


def test_a_number_without_a_cell_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "analysis"
    (folder / "study").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Results\n\nThe linear decoder costs 8.34 points, or 77.77 %.\n")
    pd.DataFrame({"variant": ["depth 2", "linear"], "delta": [8.341, -8.343]}).to_csv(
        folder / "study" / "effects.csv", index=False
    )
    monkeypatch.setattr("analysis.numbers.HERE", folder)
    monkeypatch.setattr("analysis.numbers.ROOT", tmp_path)
    rows, missing = update([])
    (row,) = rows
    assert (row.csv, row.row, row.column, row.what) == ("study/effects.csv", 1, "delta", "linear")
    assert missing == ["README.md:3: ...ar decoder costs 8.34 points, or 77.77: in no CSV"]


def test_a_bound_is_a_p_value_below_it() -> None:
    (number,) = numbers("It is lower (p < 0.001).")
    assert number.is_rounded(0.0004)
    assert not number.is_rounded(0.001)


def test_no_number_is_bound_by_chance_to_a_column_that_nobody_quotes() -> None:
    """A margin of 1.0 is no median area of 1.00, and the interval over images no t interval."""
    quoted = {
        (document.relative_to(ROOT).as_posix(), each.before, each.text): each
        for document in documents()
        for each in numbers(document.read_text())
    }
    wrong = [
        source
        for source in read_ledger()
        if source.csv and not may_be(quoted[source.document, source.before, source.number], source.column)
    ]
    assert wrong == []


def test_what_is_no_result_is_a_short_list() -> None:
    assert len(NO_RESULTS) <= 15
    apart = [source for source in read_ledger() if not source.csv]
    assert len(apart) <= len(read_ledger()) / 4
    assert LEDGER.is_file()


def test_a_section_that_names_a_folder_in_code_or_in_a_link_is_looked_up_there_first() -> None:
    """The gain of MAE at `tiny`, 8.40, is by chance also an interval's end in `cmae_presets-hour`."""
    for named in ("Files: `cmae_vs_mae-tiny/`.", "![differences](cmae_vs_mae-tiny/effects.png)"):
        (number,) = numbers(f"## Of real images\n\n{named}\n\nMAE gains 8.40 over it.\n")
        source = looked_up(HERE / "README.md", number)
        assert source is not None
        assert source.csv.startswith("cmae_vs_mae-tiny/")


def test_sections_in_the_same_words_keep_a_cell_each() -> None:
    rows, missing = update(read_ledger())
    assert (rows, missing) == (read_ledger(), [])
    of_the_control = [row for row in rows if row.before.endswith("the positive control is")]
    folders = [row.csv.partition("/")[0] for row in of_the_control if row.number == "7.63"]
    assert folders[:4] == ["cmae_presets-hour", "components-hour", "crop-hour", "position-hour"]


def test_the_words_of_a_row_are_those_of_the_cell_that_it_points_to() -> None:
    for source in read_ledger():
        if source.csv:
            cells = pd.read_csv(HERE / source.csv).iloc[source.row]
            assert source.what == ", ".join(v for v in cells if isinstance(v, str) and len(v) < 60), source
