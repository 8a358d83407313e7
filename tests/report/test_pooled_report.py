"""A study over several data sets: page, tables, figure and answer, of constructed trials."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from cmae_ablate.report import ReportFiles
from tests.report.pooling import BY_DATA_SET, T_2, answer_of, part, written


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    parts = {label: part(label, differences) for label, differences in BY_DATA_SET.items()}
    return written(parts, tmp_path_factory.mktemp("pooled"))


def test_three_data_sets_are_pooled_by_their_means(three: ReportFiles) -> None:
    row = pd.read_csv(three.paths["pooled.csv"]).iloc[0]
    # Means -3, -2, -4: their mean -3, deviation 1.
    assert (row["variant"], row["datasets"], row["verdict"]) == ("CMAE", 3, "lower")
    assert row["delta"] == pytest.approx(-3.0)
    assert row["ci_high"] == pytest.approx(-3.0 + T_2 / math.sqrt(3), rel=1e-6)
    assert row["prediction_high"] == pytest.approx(-3.0 + T_2 * math.sqrt(1 + 1 / 3), rel=1e-6)
    assert row["tiny.delta"] == pytest.approx(-2.0)


def test_the_answer_predicts_a_new_data_set_of_this_kind(three: ReportFiles) -> None:
    found = answer_of(three)
    (verdict,) = found["verdicts"]  # type: ignore[misc]
    assert (verdict["verdict"], verdict["n"]) == ("lower", 3)
    assert verdict["prediction_high"] == pytest.approx(1.968, abs=1e-3)
    assert found["sensitive"] is True
    assert "on a new data set of this kind" in str(found["text"])
    assert set(found["datasets"]) == set(BY_DATA_SET)  # type: ignore[call-overload]


def test_every_form_of_the_report_is_there(three: ReportFiles) -> None:
    names = {
        "pooled.csv",
        "effects.csv",
        "trials.csv",
        "controls.csv",
        "answer.json",
        "table.md",
        "table.tex",
    }
    assert names | {"table.png", "pooled.png", "pooled.pdf", "index.html"} <= set(three.paths)
    page = three.paths["index.html"].read_text()
    assert "../blocks-tiny/index.html" in page
    assert len(three.table[0]) == 1 + 3 + 5
    trials = pd.read_csv(three.paths["trials.csv"])
    assert trials.groupby("dataset").size().to_dict() == dict.fromkeys(BY_DATA_SET, 6)
