"""`progress.csv` beside a `trials.csv`: read as written, refused with place and fault."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.progress_csv import read_progress_beside
from tests.report.conftest import build_study

ROWS = pd.DataFrame(
    [
        {"variant": variant, "seed": seed, "epoch": epoch, "metric": "a.validation_top1", "value": value}
        for variant, value in (("MAE", 20.125), ("CMAE", 23.5))
        for seed in (0, 1)
        for epoch in (2, 4)
    ]
)


def study_of(*variants: str) -> StudyDescription:
    return build_study({variant: [30.0, 31.0] for variant in variants})[0]


def test_progress_beside_a_csv_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = ROWS
    rows.to_csv(tmp_path / "progress.csv", index=False)
    again, notes = read_progress_beside(tmp_path / "trials.csv", study_of("MAE", "CMAE"))
    assert notes == ()
    assert again is not None
    pd.testing.assert_frame_equal(again, rows)
    assert read_progress_beside(tmp_path / "nowhere" / "trials.csv", study_of("MAE")) == (None, ())


def test_another_studys_progress_is_left_out_with_a_note(tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "progress.csv", index=False)
    nothing, notes = read_progress_beside(tmp_path / "trials.csv", study_of("depth 1", "depth 2"))
    assert nothing is None
    assert "of another study" in notes[0]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("MAE,0,x,a.validation_top1,12", r"progress.csv:3: epoch is 'x'; give a whole number"),
        ("MAE,0,2,a.validation_top1,120", r"progress.csv:3: a.validation_top1 is 120, and an accuracy"),
        ("MAE,0,1,a.validation_top1,12", r"progress.csv:3: 'MAE', seed 0, has epoch 1 twice"),
    ],
)
def test_a_wrong_line_is_named(line: str, why: str, tmp_path: Path) -> None:
    head = "variant,seed,epoch,metric,value\nMAE,0,1,a.validation_top1,10\n"
    (tmp_path / "progress.csv").write_text(head + line + "\n")
    with pytest.raises(UserError, match=why):
        read_progress_beside(tmp_path / "trials.csv", study_of("MAE"))
