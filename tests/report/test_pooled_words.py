"""What several data sets allow to conclude, in sentences."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report.across import analyse
from cmae_ablate.report.pooled import pooled_study
from cmae_ablate.report.pooled_words import pooled_answer, pooled_note
from tests.report.pooling import BY_DATA_SET, UNSEEN, answer_of, part, written


def test_two_data_sets_stand_side_by_side_and_claim_nothing(tmp_path: Path) -> None:
    parts = {label: part(label, BY_DATA_SET[label]) for label in ("scenes", "tiny")}
    files = written(parts, tmp_path)
    found = answer_of(files)
    (verdict,) = found["verdicts"]  # type: ignore[misc]
    assert (verdict["verdict"], verdict["delta"], found["pooled"]) == ("inconclusive", None, False)
    assert "needs 3 or more" in files.answer
    assert len(files.table[0]) == 1 + 2


def test_a_data_set_that_cannot_tell_its_positive_control_is_left_out_and_named(tmp_path: Path) -> None:
    parts = {label: part(label, differences) for label, differences in BY_DATA_SET.items()}
    parts["blind"] = part("blind", (0.1, -0.1, 0.0), UNSEEN)
    files = written(parts, tmp_path)
    row = pd.read_csv(files.paths["pooled.csv"]).iloc[0]
    assert (row["datasets"], row["delta"]) == (3, pytest.approx(-3.0))
    assert (row["all_datasets"], row["all_delta"]) == (4, pytest.approx(-2.25))
    assert "blind cannot tell the positive control from the reference; it is left out" in files.answer
    assert "blind" in files.paths["table.md"].read_text().partition("Sensitivity")[2]


def test_the_caption_says_what_is_pooled_and_what_is_promised() -> None:
    parts = [analyse(label, part(label, differences)) for label, differences in BY_DATA_SET.items()]
    note = pooled_note(pooled_study("blocks", parts))
    assert "Pooled is the plain mean over the data sets" in note
    assert "what as many seeds on a new data set of this kind will show" in note
    answer = pooled_answer(pooled_study("blocks", parts[:2]))
    assert answer.headline.startswith("Side by side, nothing pooled")


def test_what_is_detected_on_every_data_set_may_not_be_of_their_kind_and_the_headline_says_so() -> None:
    differences = {
        "scenes": (-12.0, -13.0, -14.0),
        "animals": (-5.0, -5.5, -6.0),
        "things": (-3.4, -3.6, -3.8),
    }
    parts = [analyse(label, part(label, each)) for label, each in differences.items()]
    answer = pooled_answer(pooled_study("blocks", parts))
    assert "does not differ detectably from" in answer.headline
    assert "on the mean over data sets of this kind" in answer.headline
