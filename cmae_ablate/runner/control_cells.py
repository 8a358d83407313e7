"""One control's cell from beginning to end, whatever kind of control it is."""

from __future__ import annotations

from cmae_ablate import checkpoint
from cmae_ablate.components.networks import Encoder
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.cell import CellContext, alone_in, run_cell
from cmae_ablate.runner.evaluating import evaluate
from cmae_ablate.runner.hardware import device_name
from cmae_ablate.runner.result_files import flat
from cmae_ablate.study.design import EVALUATION, RANDOM_INIT, RAW_PIXELS, Cell, ControlKind
from cmae_ablate.study.fingerprints import digest
from cmae_ablate.study.settings import Tree
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks, image_size_of
from cmae_ablate.training.untrained import untrained_encoder


def run_any(cell: Cell, cell_context: CellContext, hooks: Hooks | None = None) -> CellRecord:
    """Run a cell of a table, or a control; whatever is already in the cache is not done again.

    The positive control is pretrained as any variant; the others are evaluated without pretraining.

    Raises:
        Interrupted: The hooks asked to stop; the same call goes on later.
        DivergedError: A loss is no longer finite.
        UserError: A random-init control is asked of a backbone that cannot be initialised anew.
    """
    hooks, kind = hooks or Hooks(), cell.variant.control
    if kind == RAW_PIXELS:
        return raw_pixel_control(cell.spec, cell_context, hooks)
    if kind in (RANDOM_INIT, EVALUATION):
        return untrained_control(cell.spec, cell_context, hooks, kind)
    return run_cell(cell.spec, cell_context, hooks)


def untrained_control(
    spec: TrialSpec, cell_context: CellContext, hooks: Hooks, kind: ControlKind = RANDOM_INIT
) -> CellRecord:
    """Evaluate the trial's encoder as it is before any training, on images normalised as the trial's are."""
    cell_context = cell_context.normalised_for(spec)
    encoder = untrained_encoder(spec, image_size_of(spec, cell_context.data))
    encoder.to(cell_context.runtime.device).eval()
    # Equal weights are no equal encoder: how many heads share the width changes no weight.
    identity = {"control": kind, **spec.untrained_identity(cell_context.data.digest)}
    return _evaluated_alone(encoder, identity, spec, cell_context, hooks)


def raw_pixel_control(spec: TrialSpec, cell_context: CellContext, hooks: Hooks) -> CellRecord:
    """Evaluate the pixels themselves, without any encoder."""
    identity = {"control": RAW_PIXELS, **spec.pixel_identity(cell_context.data.digest)}
    return _evaluated_alone(None, identity, spec, cell_context, hooks)


def _evaluated_alone(
    encoder: Encoder | None, identity: Tree, spec: TrialSpec, cell_context: CellContext, hooks: Hooks
) -> CellRecord:
    """Evaluate in the folder of all controls of one identity; each keeps the evaluations that it has."""
    data, runtime = cell_context.data, cell_context.runtime
    weights = checkpoint.weights_sha256(encoder.state_dict()) if encoder is not None else ""
    key = digest({**identity, "weights": weights, "mean": data.mean, "std": data.std})
    folder = cell_context.cache / "controls" / key
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, hooks):
        found = evaluate(spec, encoder, data, runtime, folder, weights=weights, hooks=hooks)
    return CellRecord(
        flat(found),
        weights,
        device_name(runtime.device),
        folder,
        protocols={label: result.protocol for label, result in found.items()},
    )
