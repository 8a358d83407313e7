"""Rows of other variants, and of those that only look like the study's own."""

from __future__ import annotations

import pytest

from cmae_ablate.report.foreign_rows import foreign_notes


def test_rows_of_other_variants_are_counted() -> None:
    notes = [*foreign_notes(["MAE", "extra", "CMAE", "extra", "Mae"], ("MAE", "CMAE"))]
    assert notes == [
        "\u2018extra\u2019 (2 rows) is no variant here; left out",
        "\u2018Mae\u2019 (1 row) is no variant here; left out",
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("CMAE ", "'CMAE '"),
        ("CMAE\N{NO-BREAK SPACE}", r"'CMAE\xa0'"),
        ("CM\N{ZERO WIDTH SPACE}AE", r"'CM\u200bAE'"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER C}MAE", r"'\uff23MAE'"),
    ],
)
def test_of_a_variant_that_looks_like_the_studys_own_it_is_said_what_differs(
    written: str, shown: str
) -> None:
    (note,) = foreign_notes(["MAE", written], ("MAE", "CMAE"))
    assert note.endswith(f"left out: it is spelled {shown}, and the study's own 'CMAE'")
