"""Numbers over data sets, and the word for none."""

from __future__ import annotations

from pathlib import Path

from cmae_ablate.report.pooled_words import pooled_answer
from tests.report.pooling import BY_DATA_SET, part, pooled, written


def test_one_difference_on_all_data_sets_is_neither_tested_nor_predicted_in_table_and_answer(
    tmp_path: Path,
) -> None:
    files = written({label: part(label, (-3.0, -3.0, -3.0)) for label in BY_DATA_SET}, tmp_path)
    (line,) = files.table[1:]
    assert line[4:] == ("\u22123.00 (alike on every data set)", "\u2013", "\u2013", "0.00", "\u2013")
    assert (
        "the same on every data set, which leaves nothing to test or to predict by. On each" in files.answer
    )
    assert "Holm p" not in files.answer.partition("Pooled is")[0]


def test_detected_inside_the_margin_is_said_to_be_both() -> None:
    close = {
        label: part(label, (d - 0.1, d + 0.1, d), equivalence_margin=1.0)
        for label, d in {"a": 0.3, "b": 0.32, "c": 0.34}.items()
    }
    assert "higher, yet equal within \u00b11.00 points" in pooled_answer(pooled(close)).lines[0]
