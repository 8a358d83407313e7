"""What `trials.csv` may hold, and how a malformed one is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmae_ablate.errors import UserError
from cmae_ablate.report import read_controls, read_controls_beside, read_trials
from cmae_ablate.report.cells import sort_out
from tests.report.conftest import build_study

NO_NUMBERS = (
    "23_5",
    "1e400",
    "inf",
    "-inf",
    "nan",
    "NaN",
    "Infinity",
    "\uff13\uff14",
    "\u0663\u0664",
    "0x1F",
    "1e",
)
BOTH = "variant,seed,state,linear_probe.top1,knn.top1\nMAE,0,COMPLETE,34.5,0.17\nMAE,1,COMPLETE,35.5,0.18\n"
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
        (
            "dataset,variant,seed,state,linear_probe.top1\nhere,MAE,0,COMPLETE,34\nfar,MAE,0,COMPLETE,35\n",
            ":3: variant 'MAE' has seed 0 already on line 2; the first is of the data set here, this one of "
            "far: take the file of one, in the folder that is called as study and data set are, as STUDY-h",
        ),
        (
            "dataset,variant,seed,state,linear_probe.top1\nhere,MAE,0,COMPLETE,34\nhere,MAE,0,COMPLETE,35\n",
            ":3: variant 'MAE' has seed 0 already on line 2; keep one row for each variant and seed",
        ),
        ("variant,seed,state,state,linear_probe.top1\n", "column 'state' stands there twice"),
        ('variant,seed,state,linear_probe.top1\n"MAE,0', "is not a CSV file"),
        (GOOD.replace(",", ";"), "fields are separated by semicolons; separate them by commas"),
        (GOOD.replace(",", "\t"), "fields are separated by tabs; separate them by commas"),
        (
            GOOD.replace("variant,", ",variant,").replace("MAE,", "0,MAE,"),
            "column 1 has no name; name or delete it",
        ),
        (
            GOOD.replace("34.5", "167"),
            ":2: linear_probe.top1 is 167, and an accuracy is from 0 to 100 percent",
        ),
        (GOOD.replace("34.5", "-1"), ":2: linear_probe.top1 is -1, and an accuracy"),
        *(
            (GOOD.replace("34.5", text), f":2: linear_probe.top1 is '{text}', not a number")
            for text in NO_NUMBERS
        ),
        *((GOOD.replace(",0,", f",{text},"), f":2: seed is '{text}'") for text in NO_NUMBERS),
        (
            GOOD + "small,0,COMPLETE,0.35\n",
            ":3: linear_probe.top1 is 0.35 where other variants have 34.5 to 34.5",
        ),
        (BOTH, ":2: knn.top1 is 0.17: all of this column lies between 0 and 1"),
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


@pytest.mark.parametrize("label", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-x", "\tx"])
def test_a_label_that_a_spreadsheet_would_compute_is_refused(
    label: str, tmp_path: Path, build: Callable
) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(f'variant,seed,state,linear_probe.top1\n"{label}",0,COMPLETE,34.5\n')
    study, _ = build({"MAE": [1.0]})
    with pytest.raises(UserError, match=r"trials\.csv:2: a spreadsheet would compute the variant"):
        read_trials(path, study)


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


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("random init,MAE,0,14\nrandom init,MAE,0.0,15\n", ":3: 'random init' has seed 0 already on line 2;"),
        (
            "random init,,0,14\nrandom init,MAE,,15\n",
            ":3: 'random init' has no seed here and a seed on line 2;",
        ),
        ("random init,,0.5,14\n", ":2: seed is '0.5'; give a whole number from 0"),
        ("random init,,-1,14\n", ":2: seed is '-1'; give a whole number from 0"),
    ],
)
def test_controls_that_cannot_be_paired_by_seed_are_refused(
    rows: str, fault: str, tmp_path: Path, build: Callable
) -> None:
    path = tmp_path / "controls.csv"
    path.write_text("control,variant,seed,linear_probe.top1\n" + rows)
    study, _ = build({"MAE": [1.0]})
    with pytest.raises(UserError, match=re.escape(f"{path}{fault}")):
        read_controls(path, study)


def test_before_any_cell_is_complete_no_metric_is_needed(build: Callable) -> None:
    study, trials = build({"MAE": [1.0, 2.0]})
    cells = sort_out(trials.assign(state="FAILED").drop(columns="linear_probe.top1"), study)
    assert cells.notes == ("'MAE' is incomplete: seeds 0-1 FAILED",)


def test_a_frame_with_a_cell_twice_is_refused(build: Callable) -> None:
    study, trials = build({"MAE": [1.0, 2.0]})
    with pytest.raises(UserError, match="variant 'MAE' has seed 1 twice"):
        sort_out(pd.concat([trials, trials.iloc[1:]]), study)


def test_an_accuracy_below_one_percent_is_read_as_such(tmp_path: Path, build: Callable) -> None:
    # A collapsed encoder at the chance of 200 classes: 0.5 %, and no fraction of 17 %.
    path = tmp_path / "trials.csv"
    path.write_text(GOOD.replace("34.5", "17.0") + "small,0,COMPLETE,0.5\n")
    study, _ = build({"MAE": [1.0], "small": [1.0]})
    assert read_trials(path, study)["linear_probe.top1"].tolist() == [17.0, 0.5]


CONTROLS = "control,variant,seed,linear_probe.top1\nrandom init,,0,14.7\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CONTROLS.replace(",,", ",depth 3,"), "no variant of this one is called 'depth 3'"),
        (
            CONTROLS.replace("top1", "top1,fine_tune.top1").replace("14.7", "14.7,20"),
            "no column 'fine_tune.top1'",
        ),
        ("control,variant,seed,knn.top1\nrandom init,,0,14.7\n", "it has no column 'linear_probe.top1'"),
        (CONTROLS.replace(",,0", ",,7"), "no trial has seed 7"),
    ],
)
def test_controls_of_another_study_beside_the_csv_are_left_out_aloud(
    text: str, why: str, tmp_path: Path, build: Callable
) -> None:
    study, trials = build({"MAE": [34.0, 35.0]})
    trials.to_csv(tmp_path / "trials.csv", index=False)
    (tmp_path / "controls.csv").write_text(text)
    controls, notes = read_controls_beside(tmp_path / "trials.csv", trials, study)
    assert controls is None
    assert "left out, it is of another study" in notes[0]
    assert why in notes[0]


def test_controls_of_this_study_beside_the_csv_are_read(tmp_path: Path, build: Callable) -> None:
    study, trials = build({"MAE": [34.0, 35.0]})
    (tmp_path / "controls.csv").write_text(CONTROLS)
    controls, notes = read_controls_beside(tmp_path / "trials.csv", trials, study)
    assert notes == ()
    assert controls is not None
    assert controls["linear_probe.top1"].tolist() == [14.7]
