"""What MLflow is told of a study's results, once its table is made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmae_ablate.queue import CellStatus
from cmae_ablate.report.selection import is_candidate
from cmae_ablate.report.wording import Metric
from cmae_ablate.runner.imported import is_imported
from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.tracking import Tracker
from cmae_ablate.tracking.tracker import CellId, Findings, Status

if TYPE_CHECKING:
    import pandas as pd

EFFECT = ("delta", "ci_low", "ci_high", "prediction_low", "prediction_high")
"""Of an answer; predictions are of a new data set, where several are pooled."""
FIXED = ("params.", "flops.")
"""What a variant has, seed or not; it and the settings that are chosen for all cells have no deviation."""


def track_summary(
    trials: StudyTrials, tracker: Tracker, status: Status, files: Mapping[str, Path] | None = None
) -> None:
    """Give each variant's MLflow run its means and standard deviations, and end all runs so.

    A mean has its metric's own name, so that one column shows it and what it is the mean of. Runs of cells
    end with the table's numbers: with what the study chose for all of them (see `selection`), and with the
    newer ones where a cell was trained again while MLflow was away.

    Args:
        trials: The cells.
        tracker: Of their runs.
        status: With which the runs of the study and its variants end.
        files: The report, by name; none where none was made.
    """
    tracker.settle_cells(settled_numbers(trials))
    complete = trials.complete
    numbers = _numbers(complete)
    settings = {f"{label}.{key}" for label, chosen in trials.chosen.items() for key in chosen.settings}
    summary: dict[str, dict[str, float]] = {}
    for variant, rows in complete.groupby("variant", sort=False):
        means = summary[str(variant)] = {"seeds": float(len(rows))}
        for name in numbers:
            values = rows[name].dropna()
            if len(values):
                means[name] = float(values.mean())
            is_fixed = values.nunique() == 1 and (name in settings or name.startswith(FIXED))
            if len(values) > 1 and not is_fixed:
                means[f"{name}.std"] = float(values.std())
    if files is None:
        tracker.finish_study(summary, status)
        return
    told, found = _with_effects(summary, files)
    tracker.finish_study(told, status, found)


def track_pooled(
    variants: Sequence[str], tracker: Tracker, status: Status, files: Mapping[str, Path]
) -> None:
    """Tell the run of a study on several data sets what its pooled page says, and end it.

    Its cells have their runs where each data set's own study has them; here each variant has one, with its
    pooled difference.

    Args:
        variants: All of the study.
        tracker: Of the pooled page's runs.
        status: With which they end.
        files: The pooled report, by name.
    """
    told, found = _with_effects({variant: {} for variant in variants}, files)
    tracker.finish_study(told, status, found)


def _with_effects(
    summary: Mapping[str, Mapping[str, float]], files: Mapping[str, Path]
) -> tuple[dict[str, dict[str, float]], Findings]:
    """Each variant's summary with its effect in a report, and what the report says."""
    answer = json.loads(files["answer.json"].read_text())
    metric = Metric.named(answer["metric"])
    told = {variant: dict(own) for variant, own in summary.items()}
    verdicts = dict.fromkeys(summary, ("", ""))
    for variant, each in _deciding(answer["verdicts"], summary).items():
        effect = {name: math.nan if each.get(name) is None else each[name] for name in EFFECT}
        told[variant] |= {f"effect.{name}": value for name, value in effect.items() if not math.isnan(value)}
        text = f"{metric.signed(effect['delta'])} {metric.interval(effect['ci_low'], effect['ci_high'])}"
        verdicts[variant] = (text.strip(), _in_words(each))
    return told, Findings(f"{answer['question']} {answer['text']}", verdicts, tuple(files.values()))


def _deciding(
    verdicts: Sequence[Mapping[str, Any]], variants: Mapping[str, object]
) -> dict[str, Mapping[str, Any]]:
    """Of each variant the first comparison that the study declared, else its first of all."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in sorted(verdicts, key=lambda each: each["family"] != "declared"):
        if each["variant"] in variants:  # a grid's terms are none
            found.setdefault(each["variant"], each)
    return found


def _in_words(verdict: Mapping[str, Any]) -> str:
    link = {"lower": "than", "higher": "than", "equal": "to", "identical": "to"}.get(
        verdict["verdict"], "against"
    )
    return f"{verdict['verdict']} {link} {verdict['against']}"


def settled_numbers(trials: StudyTrials) -> dict[CellId, dict[str, float]]:
    """What the table has of each complete cell, by variant, seed and fingerprint; no other candidates."""
    names = _numbers(trials.complete)
    found = {}
    for row in trials.complete.to_dict("records"):
        key = (str(row["variant"]), int(row["seed"]), str(row["fingerprint"]))
        found[key] = {name: float(row[name]) for name in names if not math.isnan(row[name])}
    return found


def _numbers(frame: pd.DataFrame) -> list[str]:
    """Columns of metrics, without what evaluations could have been read at."""
    return [
        str(name) for name in frame.select_dtypes("number") if name != "seed" and not is_candidate(str(name))
    ]


def track_imported(statuses: Sequence[CellStatus], tracker: Tracker) -> None:
    """Give each imported cell a run of its own, as a cell that was trained here has."""
    for status in statuses:
        if not is_imported(status):
            continue
        cell = status.cell
        tags = {"fingerprint": cell.fingerprint, "imported": "true"}
        run = tracker.start_cell(cell.variant, cell.seed, dict(cell.levels), tags)
        run.log_metrics(0, status.record.metrics)
        run.finish("FINISHED")
