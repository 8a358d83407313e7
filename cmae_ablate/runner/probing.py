"""How good an encoder was on the way: the encoders kept at some epochs, judged on validation images.

Looked at from outside and afterwards: a training that is probed draws the same random numbers, takes the same
steps and counts the same seconds as one that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
from torch import Tensor, nn

from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.queue import CellStatus
from cmae_ablate.records import DamagedError, read_record
from cmae_ablate.report.selection import CRITERION, MARK, choose, settle
from cmae_ablate.report.wording import listing
from cmae_ablate.runner.cell import CellContext, alone_in, evaluate, evaluation_path, flat
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import check_evaluation
from cmae_ablate.runner.results import trials_frame
from cmae_ablate.runner.tuning import without_test
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks, image_size_of
from cmae_ablate.training.model import assemble
from cmae_ablate.training.snapshots import kept_encoder

FOLDER = "progress"
Metrics = dict[str, float]
WHY_UNKNOWN = (
    "trained before training.probe_epochs asked for it, imported, or no longer in the cache; "
    "run the study into another --out to have it (a cell's weights do not depend on it)"
)
NOT_KEPT = (
    "no progress at epoch {}: this pretraining was done, or under way, before training.probe_epochs asked "
    "for it, and its encoder of then was not kept; run the study into another --out to have it"
)


def probe(spec: TrialSpec, cell_context: CellContext, hooks: Hooks) -> dict[int, Metrics]:
    """Judge the encoders that a finished pretraining kept; what is judged already is not judged again.

    Args:
        spec: The trial; `training.probe_with` names the evaluation, `training.probed` the epochs.
        cell_context: Its data and its machine.
        hooks: Told of encoders that were not kept; may stop an evaluation that trains.

    Returns:
        By epoch, but for the last one: `<evaluation>.validation_top1`, and that of each of its candidates.

    Raises:
        Interrupted: The hooks asked to stop; the same call goes on later.
    """
    context = cell_context.normalised_for(spec)
    folder = context.folder(spec)
    if not spec.training.probed or spec.is_pretrained:
        return {}
    blind = replace(context, data=without_test(context.data))
    found = {}
    with alone_in(folder, hooks):
        for epoch in spec.training.probed:
            state = kept_encoder(folder, epoch)
            if state is None:
                hooks.warn(NOT_KEPT.format(epoch))
                continue
            found[epoch] = _judged(spec, state, blind, probe_folder(folder, epoch), hooks)
    return found


def _judged(
    spec: TrialSpec, state: dict[str, Tensor], blind: CellContext, folder: Path, hooks: Hooks
) -> Metrics:
    encoder = assemble(spec, image_size_of(spec, blind.data)).encoder
    module = cast("nn.Module", encoder)
    module.load_state_dict(state)
    module.to(blind.runtime.device).eval()
    label = spec.training.probe_with
    only = replace(spec, evaluations={label: spec.evaluations[label]})
    found = evaluate(only, encoder, blind, folder, weights=weights_sha256(state), hooks=hooks)
    return on_validation(flat(found))


def progress_rows(
    experiment: Experiment, statuses: Sequence[CellStatus]
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """What `progress.csv` holds, read from the folders of complete cells; nothing is computed.

    Every epoch is read at the setting that the study chose for its table, so that the last point of a
    curve is the number that `trials.csv` has.

    Args:
        experiment: The study.
        statuses: Its cells.

    Returns:
        Columns `variant, seed, epoch, metric, value`, or None where nothing was asked for; and a note on
        cells whose progress is not known.
    """
    rows: list[dict[str, Any]] = []
    unknown: list[str] = []
    for status in statuses:
        spec = experiment.cell(status.cell).spec
        if status.state != "COMPLETE" or spec.is_pretrained or not spec.training.probe_epochs:
            continue
        cell = {"variant": status.cell.variant, "seed": status.cell.seed}
        label, known = spec.training.probe_with, status.results.get("metrics")
        found = _recorded(spec, Path(str(status.results.get("folder") or "/nowhere")))
        if isinstance(known, Mapping):
            own = {name: float(str(v)) for name, v in known.items() if str(name).startswith(f"{label}.")}
            found[spec.training.epochs] = on_validation(own)
        rows += [{**cell, "epoch": epoch, "label": label, **found[epoch]} for epoch in sorted(found)]
        if missing := [str(epoch) for epoch in spec.training.probed if epoch not in found]:
            unknown.append(f"'{status.cell.variant}', seed {status.cell.seed} (epoch {', '.join(missing)})")
    notes = (f"no progress is known of {listing(unknown)}: {WHY_UNKNOWN}",) if unknown else ()
    if not rows:
        return None, notes
    settled = settle(pd.DataFrame(rows), choose(trials_frame(statuses)))
    metrics = [f"{label}.{CRITERION}" for label in settled["label"]]
    values = [row[metric] for row, metric in zip(settled.to_dict("records"), metrics, strict=True)]
    frame = settled[["variant", "seed", "epoch"]].assign(metric=metrics, value=values)
    return frame, notes


def _recorded(spec: TrialSpec, folder: Path) -> dict[int, Metrics]:
    """By epoch what `probe` found there; what is damaged counts as unknown."""
    label, found = spec.training.probe_with, {}
    for epoch in spec.training.probed:
        path = evaluation_path(spec.evaluations[label], probe_folder(folder, epoch))
        with suppress(FileNotFoundError, DamagedError):
            known = check_evaluation(path, str(read_record(path).get("weights_sha256", "")))
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
