"""A study over several data sets: page, tables, figure and answer, of constructed trials."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report import ReportFiles, StudyPart, write_pooled
from tests.report.conftest import METRIC, build_study

MAE = [34.0, 35.0, 33.5]
T_2 = 4.302653
"""97.5 % point of Student's t with 2 degrees of freedom."""
BY_DATA_SET = {"scenes": (-3.1, -2.9, -3.0), "tiny": (-2.0, -2.2, -1.8), "own": (-4.1, -3.9, -4.0)}
SEEN, UNSEEN = (6.0, 5.7, 6.4), (0.4, -0.6, 0.1)


def part(
    label: str,
    differences: Sequence[float],
    below: Sequence[float] = SEEN,
    **changes: object,
) -> StudyPart:
    """MAE and CMAE on one data set, with a positive control that lies `below` MAE."""
    cmae = [a + d for a, d in zip(MAE, differences, strict=True)]
    study, trials = build_study({"MAE": MAE, "CMAE": cmae}, name=f"blocks-{label}", report=(), **changes)
    controls = pd.DataFrame(
        [
            {"control": "positive control", "variant": "", "seed": seed, METRIC: a - b}
            for seed, (a, b) in enumerate(zip(MAE, below, strict=True))
        ]
    )
    return StudyPart(study, trials, label, controls=controls)


def written(parts: Mapping[str, StudyPart], out: Path) -> ReportFiles:
    return write_pooled("blocks", parts, out)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    parts = {label: part(label, differences) for label, differences in BY_DATA_SET.items()}
    return written(parts, tmp_path_factory.mktemp("pooled"))


def answer_of(files: ReportFiles) -> dict[str, object]:
    content: dict[str, object] = json.loads(files.paths["answer.json"].read_text())
    return content


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


def test_too_few_sensitive_data_sets_conclude_nothing(tmp_path: Path) -> None:
    parts = {label: part(label, differences) for label, differences in BY_DATA_SET.items()}
    parts["own"] = part("own", BY_DATA_SET["own"], UNSEEN)
    found = answer_of(written(parts, tmp_path))
    (verdict,) = found["verdicts"]  # type: ignore[misc]
    assert (verdict["verdict"], found["sensitive"]) == ("insensitive", False)


def test_holm_covers_the_pooled_tests_of_the_declared_contrasts(tmp_path: Path) -> None:
    parts = {}
    for label, shift in {"a": -0.5, "b": 0.0, "c": 0.5}.items():
        values = {"MAE": MAE, "x": [v - 4 + shift for v in MAE], "y": [v - 3 + shift for v in MAE]}
        study, trials = build_study(values, name=label, contrasts=(("x", "MAE"), ("y", "MAE")), report=())
        parts[label] = StudyPart(study, trials, label)
    table = pd.read_csv(written(parts, tmp_path).paths["pooled.csv"])
    smaller, larger = table["p"].tolist()  # x lies further from MAE than y, with the same noise
    assert table["p_holm"].tolist() == pytest.approx([2 * smaller, max(2 * smaller, larger)])


def test_pooled_differences_inside_the_margin_are_equal(tmp_path: Path) -> None:
    parts = {
        label: part(label, (d - 0.1, d + 0.1, d), equivalence_margin=1.0)
        for label, d in {"a": 0.05, "b": -0.05, "c": 0.0}.items()
    }
    (row,) = pd.read_csv(written(parts, tmp_path).paths["pooled.csv"]).to_dict("records")
    assert row["verdict"] == "equal"


def test_a_data_set_without_a_pair_leaves_the_pooled_contrast_incomplete(tmp_path: Path) -> None:
    parts = {label: part(label, differences) for label, differences in BY_DATA_SET.items()}
    lost = parts["own"]
    parts["own"] = replace(lost, trials=lost.trials[lost.trials["variant"] == "MAE"])
    (row,) = pd.read_csv(written(parts, tmp_path).paths["pooled.csv"]).to_dict("records")
    assert row["verdict"] == "incomplete"
