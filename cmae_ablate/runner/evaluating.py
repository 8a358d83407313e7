"""The evaluations of one encoder: each is done once a folder, and reused where its record is whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from cmae_ablate.components.evaluation_protocols import EvaluationContext, Features
from cmae_ablate.components.evaluations.features import FrozenFeatures, PixelFeatures
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.files import file_sha256, sealed, write_atomically
from cmae_ablate.runner.checked_result import checked_result
from cmae_ablate.runner.finished import evaluation_path, whole_evaluation
from cmae_ablate.runner.result_files import CandidateRecord, EvaluationRecord
from cmae_ablate.runtime import Runtime, set_precision
from cmae_ablate.study.choice import Choice
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks


def evaluate(
    spec: TrialSpec,
    encoder: Encoder | None,
    data: DataArrays,
    runtime: Runtime,
    folder: Path,
    *,
    weights: str = "",
    hooks: Hooks | None = None,
) -> dict[str, EvaluationRecord]:
    """Run the trial's evaluations on an encoder, each once per folder.

    Args:
        spec: The trial.
        encoder: In eval mode; None judges the pixels themselves.
        data: Prepared, and normalised as the encoder expects.
        runtime: Where to compute.
        folder: Where results and test predictions are kept.
        weights: SHA-256 of the encoder's weights: results of others in the folder do not count.
        hooks: Who hears of evaluations that train, and may stop them.

    Returns:
        Their records by label.

    Raises:
        UserError: One returned what its Protocol does not allow; see `checked_result`.
    """
    set_precision(runtime)
    features: Features = PixelFeatures(data) if encoder is None else FrozenFeatures(encoder, data, runtime)
    hooks = hooks or Hooks()
    context = EvaluationContext(
        encoder,
        features,
        data,
        runtime,
        spec.seed,
        should_stop=hooks.should_stop,
        on_step=hooks.on_evaluation,
        warn=hooks.warn,
    )
    wanted = spec.evaluations
    # Who reads tokens comes first: its pass over the images leaves the pooled features that others read.
    order = sorted(wanted, key=lambda label: not wanted[label].component.facts.reads_tokens)
    found = {label: _evaluated(wanted[label], label, context, folder, weights) for label in order}
    return {label: found[label] for label in wanted}


def _evaluated(
    choice: Choice, label: str, context: EvaluationContext, folder: Path, weights: str
) -> EvaluationRecord:
    path = evaluation_path(choice, folder)
    stem = path.stem
    known = whole_evaluation(path, weights, context.warn)
    if known is not None:
        return known
    scratch = _scratch(folder, stem, weights)
    result = checked_result(choice.build()(replace(context, scratch=scratch)), choice, label, context)
    folder.mkdir(parents=True, exist_ok=True)
    record = EvaluationRecord(
        label,
        dict(result.metrics),
        result.protocol,
        dict(result.chosen),
        weights,
        *_keep(result.predictions, folder / f"{stem}.npy"),
        tuple(
            CandidateRecord(
                dict(candidate.settings),
                dict(candidate.metrics),
                *_keep(candidate.predictions, folder / f"{stem}.candidate-{place}.npy"),
            )
            for place, candidate in enumerate(result.candidates)
        ),
    )
    write_atomically(path, sealed(record.to_json()))
    shutil.rmtree(scratch, ignore_errors=True)
    return record


def _scratch(folder: Path, stem: str, weights: str) -> Path:
    """Where an evaluation of these very weights keeps its training; what others left there is removed."""
    own = folder / f"{stem}.{weights[:16] or 'no-weights'}.training"
    for other in folder.glob(f"{stem}*.training"):  # earlier versions did not name whose it was
        if other != own:
            shutil.rmtree(other, ignore_errors=True)
    return own


def _keep(predictions: Tensor | None, path: Path) -> tuple[str | None, str | None]:
    """Write test predictions; the file's name and SHA-256, for the record."""
    if predictions is None:
        return None, None
    classes = predictions.cpu().numpy()
    np.save(path, classes.astype(_type_for(int(classes.max(initial=0)))))
    return path.name, file_sha256(path)


def _type_for(highest: int) -> type[np.signedinteger[Any]]:
    """The smallest signed type from 16 bits on that holds a class's index."""
    return next(kind for kind in (np.int16, np.int32, np.int64) if highest <= np.iinfo(kind).max)
