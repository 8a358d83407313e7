"""How good an encoder was on the way: the encoders kept at some epochs, judged on validation images.

Looked at from outside and afterwards: a training that is probed draws the same random numbers, takes the same
steps and counts the same seconds as one that is not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.runner.cell import CellContext, alone_in
from cmae_ablate.runner.evaluating import evaluate
from cmae_ablate.runner.progress_rows import Metrics, on_validation, probe_folder
from cmae_ablate.runner.result_files import flat
from cmae_ablate.runner.tuning import without_test
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks, image_size_of
from cmae_ablate.training.model import assemble
from cmae_ablate.training.snapshots import kept_encoder

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
    if not spec.training.probed or spec.is_pretrained:
        return {}
    context = cell_context.normalised_for(spec)
    folder = context.folder(spec)
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
    encoder.load_state_dict(state)
    encoder.to(blind.runtime.device).eval()
    label = spec.training.probe_with
    only = replace(spec, evaluations={label: spec.evaluations[label]})
    weights = weights_sha256(state)
    found = evaluate(only, encoder, blind.data, blind.runtime, folder, weights=weights, hooks=hooks)
    return on_validation(flat(found))
