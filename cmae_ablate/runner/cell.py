"""One cell from beginning to end: pretrain or reuse, evaluate or reuse, and say what it cost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors.torch import load_file, save
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from cmae_ablate import checkpoint
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import Interrupted
from cmae_ablate.files import file_sha256, sealed, write_atomically
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.cache import LOCK
from cmae_ablate.runner.evaluating import evaluate
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import CROP, RESULT, WEIGHTS, whole_pretraining
from cmae_ablate.runner.hardware import MemoryWatch, device_name
from cmae_ablate.runner.result_files import PretrainingRecord, flat
from cmae_ablate.runner.warm_up import warm_up
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.collapse import collapse_warning
from cmae_ablate.training.cost import count_parameters, measure
from cmae_ablate.training.loop import Hooks, Pretrained, image_size_of, pretrain
from cmae_ablate.training.model import MaskedImageModel, assemble

WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class CellContext:
    """Where cells are run: data, machine, and the cache that is shared by all studies of an `--out`."""

    data: DataArrays
    runtime: Runtime
    cache: Path
    keep_state: bool = False
    """Whether the last training state stays beside the finished weights: a study's `keep: all`."""

    @classmethod
    def of(cls, experiment: Experiment, spec: TrialSpec, runtime: Runtime) -> CellContext:
        """Of a cell of a study, with its own precision and compilation; this process gets its threads."""
        training = spec.training
        set_threads(training.threads)
        own = replace(runtime, precision=training.precision, compile=training.compile)
        keeps_all = experiment.study.keep == "all"
        return cls(experiment.data_of(spec), own, experiment.places.cache, keeps_all)

    def normalised_for(self, spec: TrialSpec) -> CellContext:
        """The same context with images normalised as the trial's encoder expects them."""
        if spec["backbone"].normalization == "data":
            return self
        data = replace(self.data, mean=IMAGENET_DEFAULT_MEAN, std=IMAGENET_DEFAULT_STD)
        return replace(self, data=data)

    def folder(self, spec: TrialSpec) -> Path:
        """The pretraining's folder in the content-addressed cache."""
        return self.cache / "pretrain" / spec.pretrain_fingerprint(self.data.digest)


def run_cell(spec: TrialSpec, cell_context: CellContext, hooks: Hooks | None = None) -> CellRecord:
    """Pretrain and evaluate one trial; whatever is already in the cache is not done again.

    Raises:
        Interrupted: The hooks asked to stop; the same call goes on later.
        DivergedError: A loss is no longer finite.
    """
    hooks = hooks or Hooks()
    cell_context = cell_context.normalised_for(spec)
    folder = cell_context.folder(spec)
    folder.mkdir(parents=True, exist_ok=True)
    # Two variants may resolve to the same pretraining: one worker trains it, the other waits.
    with alone_in(folder, hooks):
        known = whole_pretraining(folder, hooks.warn)
        record = _pretrain(spec, cell_context, folder, hooks) if known is None else known
        model = load_model(spec, cell_context, folder)
        weights = record.weights_sha256
        data, runtime = cell_context.data, cell_context.runtime
        found = evaluate(spec, model.encoder, data, runtime, folder, weights=weights, hooks=hooks)
    return CellRecord(
        {**flat(found), **record.metrics},
        weights,
        record.device,
        folder,
        {label: result.protocol for label, result in found.items()},
        reused=known is not None,
        history=record.history,
    )


def follow_cell(spec: TrialSpec, cell_context: CellContext, hooks: Hooks) -> None:
    """The part of the ranks that do not lead: they train, and leave all else to rank 0's `run_cell`.

    Raises:
        Interrupted: A rank asked to stop.
        DivergedError: A loss is no longer finite.
        RankError: Another rank is gone.
    """
    cell_context = cell_context.normalised_for(spec)
    pretrain(spec, cell_context.data, cell_context.runtime, cell_context.folder(spec), hooks)


def load_model(spec: TrialSpec, cell_context: CellContext, folder: Path) -> MaskedImageModel:
    """The pretrained model of a finished pretraining, in eval mode on the runtime's device."""
    model = assemble(spec, image_size_of(spec, cell_context.data))
    model.load_state_dict(load_file(folder / WEIGHTS))
    return model.to(cell_context.runtime.device).eval()


@contextmanager
def alone_in(folder: Path, hooks: Hooks) -> Iterator[None]:
    """Hold a pretraining's folder; whoever waits for it can still be told to stop.

    Raises:
        Interrupted: The hooks asked to stop while another worker held it.
    """
    lock = FileLock(folder / LOCK, mode=0o600)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=WAIT_SECONDS)
        except Timeout:
            if hooks.should_stop():
                raise Interrupted from None
    try:
        checkpoint.sweep(folder)
        os.utime(folder)  # when it was last of use, for `cache list`
        yield
    finally:
        lock.release()


def _pretrain(spec: TrialSpec, cell_context: CellContext, folder: Path, hooks: Hooks) -> PretrainingRecord:
    data, device = cell_context.data, cell_context.runtime.device
    image_size = image_size_of(spec, data)
    if spec.is_pretrained:
        done = Pretrained(assemble(spec, image_size), 0.0, [])
        # What its pretraining cost, nobody said: the table leaves it open.
        metrics = {"params.encoder": float(count_parameters(done.model.encoder))}
    else:
        done, metrics = _watched(spec, cell_context, folder, hooks)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in done.model.state_dict().items()}
    write_atomically(folder / WEIGHTS, save(state))
    files: dict[str, str] = {}
    if done.crop:
        learnt = {name: tensor.detach().cpu().contiguous() for name, tensor in done.crop.items()}
        write_atomically(folder / CROP, save(learnt))
        files[CROP] = file_sha256(folder / CROP)
    done.model.eval()
    warning = collapse_warning(done.model.encoder, data, data.validation, device)
    if warning:
        hooks.warn(warning)
    record = PretrainingRecord(
        metrics,
        checkpoint.weights_sha256(state),
        done.history,
        spec.to_tree(),
        spec.seed,
        device_name(device, cell_context.runtime.ranks.count),
        image_size,
        files,
        warning,
        data.digest,
        spec.versions,
    )
    write_atomically(folder / RESULT, sealed(record.to_json()))
    checkpoint.clear(folder, keep_last=cell_context.keep_state)
    return record


def _watched(
    spec: TrialSpec, cell_context: CellContext, folder: Path, hooks: Hooks
) -> tuple[Pretrained, dict[str, float]]:
    """Pretrain, and say what that came to and what it cost."""
    data, runtime = cell_context.data, cell_context.runtime
    warm_up(spec, data, runtime)
    memory = MemoryWatch.start(runtime.device)
    done = pretrain(spec, data, runtime, folder, hooks)
    peak, cost = memory.peak(), measure(spec, image_size_of(spec, data))
    last = done.history[-1]
    return done, {
        "pretrain.loss": last["loss"],
        # How well the objectives' own tasks are solved, such as `pretrain.position.accuracy`.
        **{f"pretrain.{name}": value for name, value in last.items() if name.endswith(".accuracy")},
        "params.encoder": cost.params_encoder,
        "params.decoder": cost.params_decoder,
        "flops.pretrain_image": cost.flops_image,
        "seconds.pretrain": done.seconds,
        **({"seconds.compile": done.compiling} if runtime.compile else {}),
        **({} if peak is None else {"memory.pretrain": float(peak)}),
    }
