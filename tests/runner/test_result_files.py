"""The records in a finished pretraining's folder: earlier versions' are read, others refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cmae_ablate.runner.result_files import CandidateRecord, EvaluationRecord, PretrainingRecord, flat

# Written by the version of 2026-11-26, shortened.
RESULT = """\
{"metrics": {"pretrain.loss": 1.1549899578094482, "params.encoder": 18976, "memory.pretrain": 1092304896.0},
"warning": null, "weights_sha256": "b9cfb94e75e31cd9", "device": "cpu: AMD EPYC 25/17/1 AVX512",
"image_size": 32, "history": [{"loss": 1.1581542491912842, "lr": 5.831329386826372e-05}],
"spec": {"decoder": {"name": "linear", "reach": 1.0}}, "seed": 0, "files": {}}"""
PROBE = """\
{"label": "linear_probe", "metrics": {"top1": 3.125, "validation_top1": 9.375},
"protocol": "Logistic regression.", "chosen": {"l2": 0.1, "converged": 1.0},
"weights_sha256": "b9cfb94e75e31cd9", "predictions": "probe.npy",
"predictions_sha256": "f915d7987674608", "candidates": [
{"settings": {"l2": 0.1}, "metrics": {"top1": 3.125}, "predictions": "probe.candidate-0.npy",
"predictions_sha256": "f915d7987674608"},
{"settings": {"l2": 1e-05}, "metrics": {"top1": 6.25}, "predictions": "probe.candidate-1.npy",
"predictions_sha256": "d179f6a56105484"}]}"""
# Of a version that kept neither candidates nor digests.
OLDER = """{"metrics": {"top1": 3.125}, "protocol": "How.", "chosen": {}, "predictions": null}"""


def test_the_result_json_of_an_earlier_version_is_read() -> None:
    record = PretrainingRecord.from_json(json.loads(RESULT))
    assert record == PretrainingRecord(
        metrics={
            "pretrain.loss": 1.1549899578094482,
            "params.encoder": 18976,
            "memory.pretrain": 1092304896.0,
        },
        weights_sha256="b9cfb94e75e31cd9",
        history=[{"loss": 1.1581542491912842, "lr": 5.831329386826372e-05}],
        spec={"decoder": {"name": "linear", "reach": 1.0}},
        seed=0,
        device="cpu: AMD EPYC 25/17/1 AVX512",
        image_size=32,
    )
    assert record.to_json() == {**json.loads(RESULT), "data": "", "versions": {}}


def test_the_evaluations_of_earlier_versions_are_read() -> None:
    record = EvaluationRecord.from_json(json.loads(PROBE))
    assert (record.label, record.metrics["top1"], record.chosen["l2"]) == ("linear_probe", 3.125, 0.1)
    assert record.candidates == (
        CandidateRecord({"l2": 0.1}, {"top1": 3.125}, "probe.candidate-0.npy", "f915d7987674608"),
        CandidateRecord({"l2": 1e-5}, {"top1": 6.25}, "probe.candidate-1.npy", "d179f6a56105484"),
    )
    assert json.loads(json.dumps(record.to_json())) == json.loads(PROBE)
    older = EvaluationRecord.from_json(json.loads(OLDER))
    assert older == EvaluationRecord("", {"top1": 3.125}, "How.", {})


def test_a_candidate_is_found_by_its_settings() -> None:
    record = EvaluationRecord.from_json(json.loads(PROBE))
    assert record.at("l2=1e-05") is record.candidates[1]
    assert record.at("l2=0.5") is None


def test_a_cells_metrics_carry_the_evaluations_label_and_the_candidates_settings() -> None:
    probe = EvaluationRecord.from_json(json.loads(PROBE))
    assert flat({"mine": replace(probe, metrics={"top1": 3.125})}) == {
        "mine.top1": 3.125,
        "mine.top1@l2=0.1": 3.125,
        "mine.top1@l2=1e-05": 6.25,
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights_sha256": 5}, "its weights_sha256 is missing or of another kind"),
        ({"files": []}, "its files is missing or of another kind"),
        ({"metrics": {"pretrain.loss": "1"}}, "a metric is no number"),
        ({"history": [{"loss": None}]}, "a metric is no number"),
    ],
)
def test_a_result_json_of_another_shape_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PretrainingRecord.from_json({**json.loads(RESULT), **changes})


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        ({"settings": {"l2": "0.1"}, "metrics": {}}, "a setting is no number"),
        ({"settings": {}, "metrics": {"top1": None}}, "a metric is no number"),
        ({"metrics": {}}, "its settings is missing or of another kind"),
    ],
)
def test_an_evaluation_with_a_candidate_of_another_shape_is_refused(
    candidate: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        EvaluationRecord.from_json({**json.loads(PROBE), "candidates": [candidate]})
