"""`progress.csv`: what encoders kept on the way were found to be worth, read from the cells' folders."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from cmae_ablate.files import DamagedError
from cmae_ablate.report.selection import CRITERION, MARK, settle
from cmae_ablate.report.wording import listing
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import check_evaluation, evaluation_path, folder_of, read_evaluation
from cmae_ablate.runner.imported import copied_folder
from cmae_ablate.runner.result_files import flat
from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.study.trial_spec import TrialSpec

FOLDER = "progress"
WHY_UNKNOWN = (
    "trained before training.probe_epochs asked for it, imported, or no longer in the cache; "
    "run the study into another --out to have it (a cell's weights do not depend on it)"
)
Metrics = dict[str, float]


def progress_rows(experiment: Experiment, trials: StudyTrials) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """What `progress.csv` holds; nothing is computed.

    Every epoch is read at the setting that the study chose for its table, so that the last point of a
    curve is the number that `trials.csv` has.

    Args:
        experiment: The study.
        trials: Its cells.

    Returns:
        Columns `variant, seed, epoch, metric, value`, or None where nothing was asked for; and a note on
        cells whose progress is not known.
    """
    rows: list[dict[str, Any]] = []
    unknown: list[str] = []
    for status in trials.statuses:
        spec = experiment.cell(status.cell).spec
        if status.state != "COMPLETE" or spec.is_pretrained or not spec.training.probe_epochs:
            continue
        cell = {"variant": status.cell.variant, "seed": status.cell.seed}
        label = spec.training.probe_with
        folder = folder_of(status.record, experiment.places.cache) or copied_folder(experiment, status)
        found = {} if folder is None else _recorded(spec, folder)
        own = {name: value for name, value in status.record.metrics.items() if name.startswith(f"{label}.")}
        found[spec.training.epochs] = on_validation(own)
        rows += [{**cell, "epoch": epoch, "label": label, **found[epoch]} for epoch in sorted(found)]
        if missing := [str(epoch) for epoch in spec.training.probed if epoch not in found]:
            unknown.append(f"'{status.cell.variant}', seed {status.cell.seed} (epoch {', '.join(missing)})")
    notes = (f"no progress is known of {listing(unknown)}: {WHY_UNKNOWN}",) if unknown else ()
    if not rows:
        return None, notes
    settled = settle(pd.DataFrame(rows), trials.chosen)
    metrics = [f"{label}.{CRITERION}" for label in settled["label"]]
    values = [row[metric] for row, metric in zip(settled.to_dict("records"), metrics, strict=True)]
    frame = settled[["variant", "seed", "epoch"]].assign(metric=metrics, value=values)
    return frame, notes


def _recorded(spec: TrialSpec, folder: Path) -> dict[int, Metrics]:
    """By epoch what `probing.probe` found there; what is damaged counts as unknown."""
    label, found = spec.training.probe_with, {}
    for epoch in spec.training.probed:
        path = evaluation_path(spec.evaluations[label], probe_folder(folder, epoch))
        with suppress(FileNotFoundError, DamagedError):
            known = check_evaluation(path, read_evaluation(path).weights_sha256 or "")
            if known is not None:
                found[epoch] = on_validation(flat({label: known}))
    return found


def probe_folder(folder: Path, epoch: int) -> Path:
    """Where a pretraining's folder keeps what was found after an epoch."""
    return folder / FOLDER / f"epoch-{epoch:05d}"


def on_validation(metrics: Mapping[str, float]) -> Metrics:
    """The accuracies on validation images, candidates' among them: all that may be known on the way."""
    ending = f".{CRITERION}"
    return {name: value for name, value in metrics.items() if name.partition(MARK)[0].endswith(ending)}
