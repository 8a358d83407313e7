"""The page of all answers says what the committed reports say, of every one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from analysis import answers

ANALYSIS = Path(answers.__file__).parent


def rows_of(page: str, folder: str) -> list[list[str]]:
    """The cells of a study's table, below its two lines of header."""
    (section,) = [part for part in page.split("\n### ") if part.startswith(f"[`{folder}`]")]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_page_is_what_the_committed_answers_say() -> None:
    assert answers.PAGE.read_text() == answers.page(), "python -m analysis.answers"


def test_every_folder_with_an_answer_is_on_the_page_once() -> None:
    listed = [folder for folders in answers.SETTINGS.values() for folder in folders]
    assert sorted(listed) == sorted(path.parent.name for path in ANALYSIS.glob("*/answer.json"))


def test_every_row_is_a_declared_contrast_with_its_numbers() -> None:
    contrasts = pd.read_csv(ANALYSIS / "cmae_vs_mae-gpu" / "contrasts.csv").query("family == 'declared'")
    rows = rows_of(answers.PAGE.read_text(), "cmae_vs_mae-gpu")
    assert [row[0] for row in rows] == [f"CMAE against {against}" for against in contrasts["against"]]
    for row, (_, contrast) in zip(rows, contrasts.iterrows(), strict=True):
        said = [
            float(word)
            for word in row[2].replace("\u2212", "-").strip("]").replace("[", "").replace(",", "").split()
        ]
        assert said == [round(contrast[name], 2) for name in ("delta", "ci_low", "ci_high")]
        assert row[1] == str(contrast["n"])


def test_variants_of_several_parts_are_named_by_what_differs() -> None:
    names = [row[0] for row in rows_of(answers.PAGE.read_text(), "components-gpu")]
    assert names[0] == "small decoder against MAE's decoder, with no contrastive, no position, plain crop"


def test_an_inconclusive_row_is_not_set_in_bold_and_a_lower_one_is() -> None:
    folder = "components-gpu"
    verdicts = [
        each["verdict"]
        for each in json.loads((ANALYSIS / folder / "answer.json").read_text())["verdicts"]
        if each["family"] == "declared"
    ]
    assert {"lower", "inconclusive"} <= set(verdicts)
    marked = [row[4] for row in rows_of(answers.PAGE.read_text(), folder)]
    assert marked == [f"**{each}**" if each == "lower" else each for each in verdicts]
