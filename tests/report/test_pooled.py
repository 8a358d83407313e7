"""What is concluded of a contrast over several data sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report import StudyPart
from tests.report.conftest import build_study
from tests.report.pooling import BY_DATA_SET, MAE, UNSEEN, answer_of, part, written


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


def test_a_missing_pair_on_a_data_set_that_is_not_pooled_anyway_leaves_the_contrast_complete(
    tmp_path: Path,
) -> None:
    parts = {label: part(label, differences) for label, differences in BY_DATA_SET.items()}
    blind = part("blind", (0.1, -0.1, 0.0), UNSEEN)
    parts["blind"] = replace(blind, trials=blind.trials[blind.trials["variant"] == "MAE"])
    (row,) = pd.read_csv(written(parts, tmp_path).paths["pooled.csv"]).to_dict("records")
    assert (row["verdict"], row["datasets"], row["blind.n"]) == ("lower", 3, 0)
