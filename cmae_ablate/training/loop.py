"""Pretraining of one trial: a loop that can be stopped after any step and go on as if it had not been."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from cmae_ablate import checkpoint
from cmae_ablate.components.networks import Term
from cmae_ablate.components.protocols import CropStrategy
from cmae_ablate.components.schedule import lr_at, set_lr
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.data.images import WholeImages
from cmae_ablate.data.uploads import upload_masks
from cmae_ablate.errors import Interrupted, UserError
from cmae_ablate.runtime import Runtime, set_precision, stream
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.keeping import StateKeeper
from cmae_ablate.training.metrics import Meter
from cmae_ablate.training.model import MaskedImageModel, assemble
from cmae_ablate.training.optimizer import adamw, peak_lr
from cmae_ablate.training.snapshots import keep_encoder
from cmae_ablate.training.views import TrainingViews

Metrics = dict[str, float]


@dataclass(frozen=True)
class Hooks:
    """Who wants to hear of a training's progress.

    Attributes:
        on_epoch: Called with the number of epochs done and their metrics.
        on_step: Called with steps done and steps in all, each step; must be quick.
        on_evaluation: The same, of an evaluation that trains.
        should_stop: Asked before each step, whose views are there.
        warn: Told of what the user should know.
        on_start: Called before a training is built, whether anew or from a checkpoint.
        looks_at: Whether `on_epoch` reads the checkpoint of so many epochs: it is then on the disk.
    """

    on_epoch: Callable[[int, Metrics], None] = lambda epoch, metrics: None
    on_step: Callable[[int, int], None] = lambda done, total: None
    on_evaluation: Callable[[int, int], None] = lambda done, total: None
    should_stop: Callable[[], bool] = lambda: False
    warn: Callable[[str], None] = print
    on_start: Callable[[], None] = lambda: None
    looks_at: Callable[[int], bool] = lambda epoch: False


@dataclass
class Progress:
    """How far a training is; all of it goes into a checkpoint beside the weights."""

    step: int = 0
    seconds: float = 0.0
    history: list[Metrics] = field(default_factory=list)
    compiling: float = 0.0


@dataclass(frozen=True)
class Pretrained:
    """A finished pretraining.

    Attributes:
        model: The trained model, on the runtime's device.
        seconds: Time spent in training steps, over all sittings.
        history: Metrics by epoch.
        crop: What the crop strategy learnt, such as its boxes.
        compiling: Time spent in each sitting's first step where steps are compiled, which `seconds` leaves
            out; what the step itself computes, which no other step has to compile for, is in it.
    """

    model: MaskedImageModel
    seconds: float
    history: list[Metrics]
    crop: Mapping[str, Tensor] = field(default_factory=dict)
    compiling: float = 0.0


def image_size_of(spec: TrialSpec, data: DataArrays) -> int:
    """Side of the encoder's input in pixels."""
    return spec.training.image_size or data.image_size


def training_views(spec: TrialSpec, data: DataArrays, runtime: Runtime) -> TrainingViews:
    """The batches of a trial."""
    boxes = torch.from_numpy(data.train.boxes.copy())
    crop: CropStrategy = spec["crop"].build(len(data.train), boxes)
    return TrainingViews(
        data,
        crop,
        spec["augmentation"].build(),
        image_size_of(spec, data),
        spec.training.batch_size,
        spec.seed,
        runtime.device,
        runtime.ranks,
    )


def pretrain(
    spec: TrialSpec, data: DataArrays, runtime: Runtime, folder: Path, hooks: Hooks | None = None
) -> Pretrained:
    """Train, or go on from the last checkpoint in `folder`.

    Interrupted at any step and called again, it ends with the very weights of an undisturbed run. With
    several ranks all call it at once; rank 0 alone writes.

    Args:
        spec: The trial.
        data: Its prepared data.
        runtime: Where to compute, and with whom.
        folder: The pretraining's own folder, for checkpoints.
        hooks: Who listens.

    Raises:
        Interrupted: `hooks.should_stop` said so; a checkpoint is written.
        DivergedError: A loss term is no longer finite.
        RankError: Another rank is gone.
    """
    hooks = hooks or Hooks()
    hooks.on_start()
    with runtime.ranks.together():
        training = _Training(spec, data, runtime, folder, hooks)
        with training.keeper:
            return training.run()


class _Training:
    def __init__(
        self, spec: TrialSpec, data: DataArrays, runtime: Runtime, folder: Path, hooks: Hooks
    ) -> None:
        self.spec, self.data, self.runtime, self.folder, self.hooks = spec, data, runtime, folder, hooks
        self.ranks = runtime.ranks
        set_precision(runtime)
        size = image_size_of(spec, data)
        self.model = assemble(spec, size).to(runtime.device)
        self.batches = training_views(spec, data, runtime)
        self.crop = self.batches.crop
        self.whole = WholeImages(data, data.train, size, runtime.device)
        self.optimizer = adamw(self.model, spec.training, runtime.device)
        self.forward = self.ranks.replicate(runtime.compiled(self.model))
        self.total = self.batches.steps * spec.training.epochs
        self.progress = Progress()
        self.keeper = StateKeeper(folder)
        self.counted = time.perf_counter()
        self._compiles = runtime.compile
        self.meter = Meter(self.ranks, runtime.device)

    def run(self) -> Pretrained:
        self._restore()
        self.model.train()
        while self.progress.step < self.total:
            self._epoch(self.progress.step // self.batches.steps)
        learnt = dict(self.crop.state_dict())
        progress = self.progress
        return Pretrained(self.model, progress.seconds, progress.history, learnt, progress.compiling)

    def _epoch(self, epoch: int) -> None:
        first = self.progress.step % self.batches.steps
        self.counted = time.perf_counter()
        if first == 0:
            self._refresh_crop(epoch)
        views = self.batches.epoch(epoch, first, self.model.num_views)
        for step, images in enumerate(views, start=first):
            if self.ranks.any(self.hooks.should_stop()):
                self._save()
                self.keeper.finish()
                raise Interrupted
            if self.keeper.is_due:
                self._save()
            begun = time.perf_counter()
            self._step(images, epoch, step)
            if self._compiles:
                self.counted += self._compiled_since(begun)
            self.hooks.on_step(self.progress.step, self.total)
        self.progress.history.append({**self.meter.flush(epoch), "lr": self.optimizer.param_groups[0]["lr"]})
        self._count_seconds()
        if epoch + 1 in self.spec.training.probed and self.ranks.leads:
            # Before the checkpoint: whoever goes on from that one finds this epoch's encoder kept.
            keep_encoder(self.folder, epoch + 1, self.model.encoder)
            self.counted = time.perf_counter()  # what keeping took is no training
        self._save_after(epoch + 1)
        self.hooks.on_epoch(epoch + 1, self.progress.history[-1])

    def _step(self, images: list[Tensor], epoch: int, step: int) -> None:
        spec, model, training = self.spec, self.model, self.spec.training
        batch = self.batches.images_per_step
        share = self.ranks.share(batch)
        drawn = [mask.share(share) for mask in model.sample_masks(batch, spec.seed, epoch, step)]
        masks = upload_masks(drawn, self.runtime.device)
        rngs = {name: stream(spec.seed, "objectives", name, epoch, step) for name in spec.objectives}
        set_lr(
            self.optimizer,
            lr_at(
                self.progress.step / self.batches.steps,
                peak=peak_lr(training),
                floor=training.min_lr,
                warmup=training.warmup_epochs,
                epochs=training.epochs,
            ),
        )
        with self.runtime.autocast():
            terms = cast("dict[str, Term]", self.forward(images, masks, rngs))
            loss = model.total(terms)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if training.grad_clip > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.grad_clip)
        self.optimizer.step()
        self.progress.step += 1
        model.after_step(self.progress.step / self.total)
        self.meter.add(loss, terms)

    def _compiled_since(self, begun: float) -> float:
        """Count the first step of a sitting, which compiles, apart; its seconds."""
        self._compiles = False
        if self.runtime.device.type == "cuda":
            torch.cuda.synchronize(self.runtime.device)
        seconds = time.perf_counter() - begun
        self.progress.compiling += seconds
        return seconds

    def _refresh_crop(self, epoch: int) -> None:
        self.model.eval()
        with torch.no_grad(), self.runtime.autocast():
            found = self.crop.refresh(epoch, self.model.encoder, self.whole)
        self.model.train()
        if found is not None:
            self.meter.note({f"crop.{name}": value for name, value in found.metrics.items()})

    def _save_after(self, epochs: int) -> None:
        """The first epoch is kept whatever the clock says: what is wrong with the disk shows at once."""
        is_looked_at = self.hooks.looks_at(epochs)
        is_last = self.progress.step == self.total
        if is_looked_at or is_last or self.keeper.is_due or not self.keeper.has_kept:
            self._save()
        if is_looked_at:
            self.keeper.finish()

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.progress.seconds += now - self.counted
        self.counted = now

    def _save(self) -> None:
        self._count_seconds()
        if self.ranks.leads:
            self._keep()
        self.counted = time.perf_counter()  # what keeping took is no training

    def _keep(self) -> None:
        self.keeper.keep(
            self.progress.step,
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "crop": dict(self.crop.state_dict()),
                "meter": self.meter.state(),
                "step": self.progress.step,
                "seconds": self.progress.seconds,
                "history": self.progress.history,
                "compiling": self.progress.compiling,
            },
        )

    def _restore(self) -> None:
        state = checkpoint.load_latest(self.folder, self.hooks.warn)
        if not self.ranks.same(0 if state is None else state["step"]):
            raise UserError(
                f"{self.folder}: the ranks find different checkpoints there; "
                "let --out be one folder that all of them see"
            )
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.crop.load_state_dict(state["crop"])
        self.meter.load(state["meter"])
        # Earlier versions counted no compiling apart.
        compiling = state.get("compiling", 0.0)
        self.progress = Progress(state["step"], state["seconds"], state["history"], compiling)
        # Told again: whoever listened to the sitting before may have been killed before it could pass it on.
        for epoch, metrics in enumerate(self.progress.history, start=1):
            self.hooks.on_epoch(epoch, metrics)
