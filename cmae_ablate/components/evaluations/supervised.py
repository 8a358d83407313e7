"""Supervised training of a whole classifier, by the recipe with which MAE fine-tunes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cmae_ablate.components.evaluation_protocols import EvaluationContext, EvaluationResult
from cmae_ablate.components.evaluations.augment import AugmentedTrain, even_batch_size, global_streams
from cmae_ablate.components.evaluations.classifier import (
    Classifier,
    layer_decay_groups,
    predict,
    set_drop_path,
)
from cmae_ablate.components.evaluations.erasing import erase
from cmae_ablate.components.evaluations.resume import Stateful, epochs_done, keep_epoch
from cmae_ablate.components.evaluations.scoring import accuracies
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.schedule import BASE_BATCH, lr_at, set_lr
from cmae_ablate.errors import DivergedError, Interrupted
from cmae_ablate.report.wording import counted
from cmae_ablate.runtime import seeded

Epochs = Annotated[int, Field(ge=1, le=100_000)]
BatchSize = Annotated[int, Field(ge=2, le=1_000_000)]
LearningRate = Annotated[float, Field(gt=0, le=100)]
WeightDecay = Annotated[float, Field(ge=0, le=10)]
LayerDecay = Annotated[float, Field(gt=0, le=1)]
Warmup = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Alpha = Annotated[float, Field(ge=0, le=100)]

_BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained; see `fine_tune` for what each number means."""

    epochs: int
    batch_size: int
    base_lr: float
    min_lr: float
    warmup_epochs: float
    weight_decay: float
    layer_decay: float
    drop_path: float
    label_smoothing: float
    mixup: float
    cutmix: float
    random_erasing: float

    def clipped(self, num_train: int) -> Recipe:
        """What a data set allows: an even batch no larger than it, a warm-up within the training."""
        warmup = self.warmup_epochs if self.warmup_epochs < self.epochs else self.epochs / 2
        return replace(self, batch_size=even_batch_size(self.batch_size, num_train), warmup_epochs=warmup)


def recipe_of(arguments: Mapping[str, Any], **others: Any) -> Recipe:
    """The recipe that an evaluation's own arguments are, as `locals()` has them when it is built."""
    return Recipe(**{name: value for name, value in arguments.items() if name != "self"}, **others)


def train_and_test(
    encoder: Encoder, recipe: Recipe, context: EvaluationContext, name: str
) -> EvaluationResult:
    """Train a classifier on `train`, and report the last epoch's accuracy on `validation` and `test`.

    Args:
        encoder: Trained in place: give a copy.
        recipe: How to train.
        context: Data, device and seed.
        name: Of the random streams.

    Raises:
        DivergedError: The loss is no longer finite.
        Interrupted: The context asked to stop; called again, training goes on from the last whole epoch.
    """
    data, runtime = context.data, context.runtime
    recipe = recipe.clipped(len(data.train))
    with seeded(context.seed, name, "init"):
        classifier = Classifier(encoder, data.num_classes).to(runtime.device)
    set_drop_path(classifier, recipe.drop_path)
    _train(classifier, recipe, context, name)
    predictions = {
        split: predict(classifier, data, getattr(data, split), runtime) for split in ("validation", "test")
    }
    return EvaluationResult(
        metrics=accuracies(predictions, data),
        predictions=predictions["test"],
        protocol=_protocol(recipe),
    )


def _train(classifier: Classifier, recipe: Recipe, context: EvaluationContext, name: str) -> None:
    runtime = context.runtime
    batches = AugmentedTrain(context, classifier.encoder.image_size, recipe.batch_size, name)
    groups = layer_decay_groups(classifier, recipe.weight_decay, recipe.layer_decay)
    optimizer = torch.optim.AdamW(groups, betas=_BETAS, fused=True)
    peak = recipe.base_lr * recipe.batch_size / BASE_BATCH
    # On a CPU compiling does not pay.
    forward = classifier if runtime.device.type == "cpu" else runtime.compiled(classifier)
    parts: dict[str, Stateful] = {"classifier": classifier, "optimizer": optimizer}
    for epoch in range(epochs_done(context, parts), recipe.epochs):
        classifier.train()
        with global_streams(context.seed, name, epoch):
            mix = Mix(recipe, context)
            total = torch.zeros((), device=runtime.device)
            for step, (images, labels) in enumerate(batches.epoch(epoch)):
                if context.should_stop():
                    raise Interrupted
                progress = epoch + step / batches.steps
                schedule = {"floor": recipe.min_lr, "warmup": recipe.warmup_epochs, "epochs": recipe.epochs}
                set_lr(optimizer, lr_at(progress, peak=peak, **schedule))
                mixed, targets = mix(images, labels)
                with runtime.autocast():
                    logits = forward(mixed)
                loss = functional.cross_entropy(logits.float(), targets)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                context.on_step(epoch * batches.steps + step + 1, recipe.epochs * batches.steps)
        if not torch.isfinite(total):
            raise DivergedError(f"{name}: the loss is not finite in epoch {epoch + 1}; lower its base_lr")
        keep_epoch(context, epoch + 1, parts)


class Mix:
    """Random erasing, then mixup or cutmix, then smoothed targets: what follows normalisation in MAE."""

    def __init__(self, recipe: Recipe, context: EvaluationContext) -> None:
        from timm.data.mixup import Mixup
        from timm.data.random_erasing import RandomErasing

        self._classes = context.data.num_classes
        self._smoothing = recipe.label_smoothing
        # timm erases image by image, which on a GPU is a launch and a wait for each.
        self._erase = (
            RandomErasing(recipe.random_erasing, mode="pixel", device="cpu")
            if context.runtime.device.type == "cpu"
            else partial(erase, probability=recipe.random_erasing, rng=torch.default_generator)
        )
        self._mixup = None
        if recipe.mixup > 0 or recipe.cutmix > 0:
            self._mixup = Mixup(
                recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=self._classes
            )

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Changed images (B, C, S, S), in place, and class probabilities (B, classes)."""
        erased = self._erase(images)
        if self._mixup is not None:
            mixed, targets = self._mixup(erased, labels)
            return mixed, targets
        hard = functional.one_hot(labels, self._classes).float()
        return erased, hard * (1.0 - self._smoothing) + self._smoothing / self._classes


def _protocol(recipe: Recipe) -> str:
    return (
        f"All weights trained on train for {counted(recipe.epochs, 'epoch')} (AdamW, batch "
        f"{recipe.batch_size}, base learning rate {recipe.base_lr:g}, weight decay {recipe.weight_decay:g}, "
        f"layer decay {recipe.layer_decay:g}, drop path {recipe.drop_path:g}, mixup {recipe.mixup:g}, cutmix "
        f"{recipe.cutmix:g}, random erasing {recipe.random_erasing:g}, label smoothing "
        f"{recipe.label_smoothing:g}) on random crops and flips; mean patch token before the "
        "encoder's final norm, a LayerNorm of its own, linear head; last epoch's model, no choice made."
    )
