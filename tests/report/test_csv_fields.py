"""What a field of a CSV is read as, and what a spreadsheet would make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.report.csv_fields import csv_fields, finite_number, is_formula


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-x", "\tx", "\rx", "+", "-1-1"])
def test_what_a_spreadsheet_computes_is_a_formula(text: str) -> None:
    assert is_formula(text)


@pytest.mark.parametrize("text", ["-1", "+2.5e-3", "-.5", "-10%", "depth 1", "", " =1", "'=1", "a-b", "1e5"])
def test_numbers_and_words_are_no_formulas(text: str) -> None:
    assert not is_formula(text)


@pytest.mark.parametrize("text", ["-1e999999", "+1e123456", "-%", "-1%%"])
def test_what_no_column_takes_for_a_number_is_none_for_a_spreadsheet_either(text: str) -> None:
    assert finite_number(text) is None
    assert is_formula(text)


@pytest.mark.parametrize("blank", [",,", '"",,""', " ,\t,\N{NO-BREAK SPACE}", ",,,,", "", ",,\r"])
def test_rows_of_blank_fields_hold_nothing_and_the_others_keep_their_lines(
    blank: str, tmp_path: Path
) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(f"variant,seed,state\nMAE,0,COMPLETE\n{blank}\nMAE,,\n{blank}\n{blank}\n", newline="")
    header, rows = csv_fields(path)
    assert header == ["variant", "seed", "state"]
    assert rows == [(2, ["MAE", "0", "COMPLETE"]), (4, ["MAE", "", ""])]
