"""What `trials.csv` may hold, and how a malformed one is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmae_ablate.errors import UserError
from cmae_ablate.report import read_controls, read_trials
from cmae_ablate.report.cells import sort_out
from tests.report.conftest import build_study

GOOD = "variant,seed,state,linear_probe.top1\nMAE,0,COMPLETE,34.5\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("variant,state,linear_probe.top1\nMAE,COMPLETE,1\n", "no column 'seed'"),
        ("variant,seed,state,knn.top1\nMAE,0,COMPLETE,1\n", "no column 'linear_probe.top1'"),
        (GOOD.replace("34.5", "high"), ":2: linear_probe.top1 is 'high', not a number"),
        (GOOD.replace("34.5", "34,5"), ":2: 5 fields where the header has 4"),
        (GOOD.replace(",0,", ",first,"), ":2: seed is 'first'"),
        (GOOD.replace(",0,", ",-1,"), ":2: seed is '-1'"),
        (GOOD.replace(",0,", ",1.5,"), ":2: seed is '1.5'"),
        (GOOD + "MAE,0,COMPLETE,34.9\n", ":3: variant 'MAE' has seed 0 already on line 2"),
        ("variant,seed,state,state,linear_probe.top1\n", "column 'state' stands there twice"),
        ('variant,seed,state,linear_probe.top1\n"MAE,0', "is not a CSV file"),
    ],
)
def test_a_malformed_file_is_refused_with_place_and_fault(
    text: str, told: str, tmp_path: Path, build: Callable
) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(text)
    study, _ = build({"MAE": [1.0]})
    with pytest.raises(UserError) as refusal:
        read_trials(path, study)
    assert str(path) in str(refusal.value)
    assert told in str(refusal.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path, build: Callable) -> None:
    study, _ = build({"MAE": [1.0]})
    with pytest.raises(UserError, match=r"nowhere\.csv: cannot be read"):
        read_trials(tmp_path / "nowhere.csv", study)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, build: Callable) -> None:
    path = tmp_path / "trials.csv"
    path.write_bytes(b"variant,seed\xff\xfe")
    study, _ = build({"MAE": [1.0]})
    with pytest.raises(UserError, match="not UTF-8"):
        read_trials(path, study)


@pytest.mark.parametrize("label", ["none", "NA", "null", "nan", "", "1e-3", "007", "True", "a, b"])
def test_labels_stay_what_they_are_written_as(label: str, tmp_path: Path, build: Callable) -> None:
    study, trials = build({label: [34.5, 35.5]})
    trials.to_csv(tmp_path / "trials.csv", index=False)
    read = read_trials(tmp_path / "trials.csv", study)
    assert list(read["variant"]) == [label, label]
    assert list(read["decoder"]) == [label, label]


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_every_digit_of_a_metric_survives_the_file(
    values: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    study, trials = build_study({"MAE": values})
    path = tmp_path_factory.mktemp("digits") / "trials.csv"
    trials.to_csv(path, index=False)
    assert list(read_trials(path, study)["linear_probe.top1"]) == values


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path, build: Callable) -> None:
    path = tmp_path / "trials.csv"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    study, _ = build({"MAE": [1.0]})
    assert read_trials(path, study)["linear_probe.top1"].tolist() == [34.5]


def test_an_empty_metric_of_a_failed_cell_is_no_number(tmp_path: Path, build: Callable) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(GOOD + "MAE,1,FAILED,\n")
    study, _ = build({"MAE": [1.0, 2.0]})
    assert read_trials(path, study)["linear_probe.top1"].isna().tolist() == [False, True]


def test_a_control_needs_no_seed(tmp_path: Path, build: Callable) -> None:
    path = tmp_path / "controls.csv"
    path.write_text("control,variant,seed,linear_probe.top1\nraw pixels,,,14.7\n")
    study, _ = build({"MAE": [1.0]})
    assert read_controls(path, study)["linear_probe.top1"].tolist() == [14.7]


def test_before_any_cell_is_complete_no_metric_is_needed(build: Callable) -> None:
    study, trials = build({"MAE": [1.0, 2.0]})
    cells = sort_out(trials.assign(state="FAILED").drop(columns="linear_probe.top1"), study)
    assert cells.notes == ("'MAE' is incomplete: seeds 0-1 FAILED",)


def test_a_frame_with_a_cell_twice_is_refused(build: Callable) -> None:
    study, trials = build({"MAE": [1.0, 2.0]})
    with pytest.raises(UserError, match="variant 'MAE' has seed 1 twice"):
        sort_out(pd.concat([trials, trials.iloc[1:]]), study)
