"""Constructed studies on several data sets, each MAE and CMAE with a positive control."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cmae_ablate.report import ReportFiles, StudyPart, write_pooled
from cmae_ablate.report.pooled import PooledStudy, pooled_study
from cmae_ablate.report.study_part import analyse
from tests.report.conftest import METRIC, build_study

MAE = [34.0, 35.0, 33.5]
T_2 = 4.302653
"""97.5 % point of Student's t with 2 degrees of freedom."""
BY_DATA_SET = {"scenes": (-3.1, -2.9, -3.0), "tiny": (-2.0, -2.2, -1.8), "own": (-4.1, -3.9, -4.0)}
SEEN, UNSEEN = (6.0, 5.7, 6.4), (0.4, -0.6, 0.1)
BLIND = (0.1, -0.1, 0.0)
"""Differences of a data set that shows nothing."""


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


def answer_of(files: ReportFiles) -> dict[str, object]:
    content: dict[str, object] = json.loads(files.paths["answer.json"].read_text())
    return content


def pooled(parts: Mapping[str, StudyPart]) -> PooledStudy:
    return pooled_study("blocks", [analyse(label, each) for label, each in parts.items()])


def three(**changes: object) -> dict[str, StudyPart]:
    return {label: part(label, differences, **changes) for label, differences in BY_DATA_SET.items()}


def of_grid(values: Mapping[str, Mapping[str, Sequence[float]]], **study: object) -> PooledStudy:
    parts = {}
    for label, own in values.items():
        description, trials = build_study(own, report=(), **study)
        parts[label] = StudyPart(description, trials, label)
    return pooled(parts)


def without_cmae(label: str, *, below: Sequence[float] = SEEN) -> StudyPart:
    whole = part(label, BLIND, below)
    return replace(whole, trials=whole.trials[whole.trials["variant"] == "MAE"])
