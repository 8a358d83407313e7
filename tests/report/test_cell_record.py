"""A finished cell's record: earlier versions' are read, and nothing is lost on the way to a table."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report.cell_record import CellRecord, TrialRow, frame_of, rows_of
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.trials import read_trials

# Written by the version of 2026-11-26, shortened: the attribute `results` of an Optuna trial.
STORED = """\
{"metrics": {"knn.top1": 6.25, "linear_probe.top1": 3.125, "linear_probe.top1@l2=0.1": 3.125,
"params.encoder": 18976, "seconds.pretrain": 0.052974182999605546}, "weights_sha256": "b46990392699e317",
"device": "cpu: AMD EPYC 25/17/1 AVX512", "folder": "/runs/cache/pretrain/2ce52c86174f7a134afd80c00124a512",
"protocols": {"knn": "3-NN by cosine similarity."}, "reused": false}"""
# The same of a cell that was imported: no folder, and every text column of the file.
IMPORTED = """\
{"metrics": {"knn.top1": 6.25}, "device": "cpu: AMD EPYC 25/17/1 AVX512", "weights_sha256": "1234",
"hardware": "a laptop"}"""
# Two rows of a `trials.csv` by that version; the second cell had not run.
TRIALS = """\
variant,seed,state,decoder,knn.top1,linear_probe.top1,seconds.pretrain,device,fingerprint,weights_sha256,\
linear_probe.l2,linear_probe.top1@l2=0.1
depth 1,0,COMPLETE,depth 1,6.25,3.125,0.052974182999605546,cpu: AMD EPYC 25/17/1 AVX512,c9026896d65580c8,\
12345678,0.1,3.125
1e-3,1,WAITING,1e-3,,,,,8c2b9f83481d6dce,,,
"""
RECORD = CellRecord(
    {"knn.top1": 7.0, "params.encoder": 3}, "ab", "cpu", Path("/a b"), {"knn": "How."}, reused=True
)


def test_the_results_that_an_earlier_version_left_in_optuna_are_read() -> None:
    record = CellRecord.from_json(json.loads(STORED))
    assert record == CellRecord(
        metrics={
            "knn.top1": 6.25,
            "linear_probe.top1": 3.125,
            "linear_probe.top1@l2=0.1": 3.125,
            "params.encoder": 18976,
            "seconds.pretrain": 0.052974182999605546,
        },
        weights_sha256="b46990392699e317",
        device="cpu: AMD EPYC 25/17/1 AVX512",
        folder=Path("/runs/cache/pretrain/2ce52c86174f7a134afd80c00124a512"),
        protocols={"knn": "3-NN by cosine similarity."},
    )
    assert record.to_json() == json.loads(STORED)


def test_a_cell_that_an_earlier_version_imported_is_read_and_has_no_folder() -> None:
    record = CellRecord.from_json(json.loads(IMPORTED))
    assert record == CellRecord({"knn.top1": 6.25}, "1234", "cpu: AMD EPYC 25/17/1 AVX512")


def test_a_column_of_somebodys_own_is_no_metric() -> None:
    fields = {"variant": "MAE", "seed": 0, "state": "COMPLETE", "rank": 1.0, "0": 7.0, "knn.top1": 6.25}
    assert TrialRow.read(fields, ()).record == CellRecord({"knn.top1": 6.25})


def test_a_record_survives_json() -> None:
    assert CellRecord.from_json(json.loads(json.dumps(RECORD.to_json()))) == RECORD


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"metrics": {"knn.top1": "7"}}, "a metric is no number"),
        ({"metrics": {"knn.top1": True}}, "a metric is no number"),
        ({"protocols": {"knn": 1}}, "a protocol is no text"),
        ({"folder": None}, "folder is no text"),
    ],
)
def test_a_value_of_another_kind_is_refused(content: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CellRecord.from_json(content)  # type: ignore[arg-type]


def study(**changes: object) -> StudyDescription:
    given: dict[str, object] = {"name": "s", "question": "?", "scale": "tiny", "reference": "depth 1"}
    given |= {"variants": ("depth 1", "1e-3"), "factors": {"decoder": ("depth 1", "1e-3")}, "levels": {}}
    return StudyDescription(**{**given, "seeds": 2, "metric": "knn.top1", **changes})  # type: ignore[arg-type]


def test_the_trials_csv_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text(TRIALS)
    done, waiting = rows_of(read_trials(tmp_path / "trials.csv", study()), ["decoder"])
    metrics = {"knn.top1": 6.25, "linear_probe.top1": 3.125, "seconds.pretrain": 0.052974182999605546}
    metrics |= {"linear_probe.l2": 0.1, "linear_probe.top1@l2=0.1": 3.125}
    # Digits alone, and a level that spells a number, stay the texts that they are.
    record = CellRecord(metrics, "12345678", "cpu: AMD EPYC 25/17/1 AVX512")
    assert done == TrialRow("depth 1", 0, "COMPLETE", {"decoder": "depth 1"}, "c9026896d65580c8", record)
    assert waiting == TrialRow("1e-3", 1, "WAITING", {"decoder": "1e-3"}, "8c2b9f83481d6dce", CellRecord())


def test_rows_are_read_from_a_file_as_they_were_written(tmp_path: Path) -> None:
    record = CellRecord({"knn.top1": 100 / 3, "params.encoder": 2**40}, "00", "cpu")
    rows = [
        TrialRow("depth 1", 0, "COMPLETE", {"decoder": "depth 1"}, "aa", record),
        TrialRow("1e-3", 0, "FAILED", {"decoder": "1e-3"}, "bb"),
        TrialRow("1e-3", 1, "COMPLETE", {"decoder": "1e-3"}, "cc", record, imported="1"),
    ]
    frame_of(rows).to_csv(tmp_path / "trials.csv", index=False)
    assert rows_of(read_trials(tmp_path / "trials.csv", study()), ["decoder"]) == rows


def test_columns_begin_with_the_cell_and_end_with_what_was_trained() -> None:
    full = TrialRow("a", 0, "COMPLETE", {"f": "x"}, "aa", CellRecord({"knn.top1": 1.0}, "00", "cpu"))
    later = TrialRow("b", 0, "COMPLETE", {"f": "y"}, "bb", CellRecord({"fine_tune.top1": 2.0}))
    frame = frame_of([full, later])
    first = ["variant", "seed", "state", "f", "knn.top1", "fine_tune.top1"]
    last = ["device", "fingerprint", "weights_sha256"]
    assert list(frame) == [*first, *last]
    assert list(frame_of([full, replace(later, imported="1")])) == [*first, "imported", *last]
    assert math.isnan(frame["fine_tune.top1"][0])


def test_a_table_without_cells_has_its_columns() -> None:
    frame = frame_of([])
    assert list(frame) == ["variant", "seed", "state", "device", "fingerprint", "weights_sha256"]
    assert isinstance(frame, pd.DataFrame)
    assert not len(frame)
