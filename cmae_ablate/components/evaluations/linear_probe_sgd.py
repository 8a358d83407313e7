"""MAE's linear probe: a linear layer trained by stochastic gradients on features of augmented images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from cmae_ablate.components.evaluation_protocols import EVALUATIONS, EvaluationContext, EvaluationResult
from cmae_ablate.components.evaluations.augment import AugmentedTrain, even_batch_size
from cmae_ablate.components.evaluations.features import evaluating, pool
from cmae_ablate.components.evaluations.resume import Stateful, epochs_done, keep_epoch
from cmae_ablate.components.evaluations.scoring import accuracies, feature_words
from cmae_ablate.components.evaluations.supervised import BatchSize, Epochs, LearningRate, Warmup, WeightDecay
from cmae_ablate.components.schedule import BASE_BATCH, lr_at, set_lr
from cmae_ablate.errors import DivergedError, Interrupted
from cmae_ablate.report.wording import counted
from cmae_ablate.runtime import seeded, stream

_NAME = "linear_probe_sgd"
_HEAD_STD = 0.01
_NORM_EPS = 1e-6
_MOMENTUM = 0.9


@EVALUATIONS.register(_NAME, version=1, epochs="epochs", warmup="warmup_epochs")
class LinearProbeSgd:
    """MAE's probe: BatchNorm without affine and a linear layer, trained for 90 epochs by SGD or LARS.

    Source: He et al., arXiv 2111.06377, whose code uses LARS at batch 16,384 and base learning rate 0.1,
    and reads the class token: `optimizer: lars, batch_size: 16384, warmup_epochs: 10, feature: cls`.
    Different here: the default is plain SGD at batch 256, since on small data sets a batch of that size
    leaves LARS too few steps. Nothing is chosen; `linear_probe` is the quicker form, without learning
    rate or seed.

    Args:
        feature: `mean` patch token or `cls` token, after the encoder's final norm. Source: MAE probes its
            class token, or the mean; here the mean, as MAE puts no loss on the class token.
        augmented: Whether the frozen encoder sees a new crop and flip of each image in each epoch, as in MAE;
            otherwise, and for raw pixels, cached features of whole images serve: far quicker. Source: MAE,
            true.
        epochs: Passes over the training images. Source: MAE, 90.
        batch_size: Images a step; lowered to an even number that the training set allows. Source: MAE, 16384;
            here what one device holds.
        optimizer: `sgd`, or `lars` for large batches; both with momentum 0.9. Source: MAE, `lars`, for its
            batch; here `sgd`.
        base_lr: Peak learning rate at batch 256, scaled linearly with the batch. Source: MAE, 0.1.
        warmup_epochs: Linear warm-up. Source: MAE, 10; here none, as batches are small.
        weight_decay: Of weights; none on the bias. Source: MAE, 0.
    """

    metrics: tuple[str, ...] = ("top1", "validation_top1")
    trains_encoder: bool = False

    def __init__(
        self,
        *,
        feature: Literal["mean", "cls"] = "mean",
        augmented: bool = True,
        epochs: Epochs = 90,
        batch_size: BatchSize = 256,
        optimizer: Literal["sgd", "lars"] = "sgd",
        base_lr: LearningRate = 0.1,
        warmup_epochs: Warmup = 0.0,
        weight_decay: WeightDecay = 0.0,
    ) -> None:
        self.feature = feature
        self.augmented = augmented
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.base_lr = base_lr
        self.warmup_epochs = warmup_epochs if warmup_epochs < epochs else epochs / 2
        self.weight_decay = weight_decay

    def encoder_passes(self) -> int:
        """One an epoch where images are augmented anew; else the shared features serve."""
        return self.epochs if self.augmented else 0

    def classifier_flops(self, num_patches: int, embed_dim: int, num_classes: int) -> float:
        """The layer, forward and backward to its weights, in each epoch."""
        return self.epochs * 4.0 * embed_dim * num_classes

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        """Train the layer on `train`, report the last epoch's accuracy on `validation` and `test`."""
        data, device = context.data, context.runtime.device
        batch_size = even_batch_size(self.batch_size, len(data.train))
        probe = self._train(context, batch_size).eval()
        predictions = {}
        for split in ("validation", "test"):
            with torch.no_grad():
                logits = probe(context.features.get(split, self.feature).to(device))
            predictions[split] = logits.argmax(dim=1).cpu()
        seen = "augmented" if self.augmented and context.encoder is not None else "whole"
        return EvaluationResult(
            metrics=accuracies(predictions, data),
            predictions=predictions["test"],
            protocol=(
                f"Linear layer after affine-free BatchNorm, {counted(self.epochs, 'epoch')} of "
                f"{self.optimizer.upper()} (batch {batch_size}, base learning rate {self.base_lr:g}) "
                f"on {seen} train images; {feature_words(self.feature)} at test; last epoch's layer, no "
                "choice made."
            ),
        )

    def _train(self, context: EvaluationContext, batch_size: int) -> nn.Sequential:
        steps = len(context.data.train) // batch_size
        width = context.features.get("train", self.feature).shape[1]
        with seeded(context.seed, _NAME, "init"):
            probe = probe_head(width, context.data.num_classes).to(context.runtime.device)
        optimizer = probe_optimizer(probe, self.optimizer, self.weight_decay)
        peak = self.base_lr * batch_size / BASE_BATCH
        parts: dict[str, Stateful] = {"probe": probe, "optimizer": optimizer}
        for epoch in range(epochs_done(context, parts), self.epochs):
            probe.train()
            total = torch.zeros((), device=context.runtime.device)
            for step, (features, labels) in enumerate(self._batches(context, batch_size, epoch)):
                if context.should_stop():
                    raise Interrupted
                progress = epoch + step / steps
                lr = lr_at(progress, peak=peak, floor=0.0, warmup=self.warmup_epochs, epochs=self.epochs)
                set_lr(optimizer, lr)
                loss = functional.cross_entropy(probe(features), labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                context.on_step(epoch * steps + step + 1, self.epochs * steps)
            if not torch.isfinite(total):
                raise DivergedError(
                    f"{_NAME}: the loss is not finite in epoch {epoch + 1}; lower its base_lr"
                )
            keep_epoch(context, epoch + 1, parts)
        return probe

    def _batches(
        self, context: EvaluationContext, batch_size: int, epoch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Features (B, D) and labels (B,) of every batch of an epoch, on the device."""
        encoder, runtime = context.encoder, context.runtime
        if encoder is None or not self.augmented:
            yield from self._cached_batches(context, batch_size, epoch)
            return
        views = AugmentedTrain(context, encoder.image_size, batch_size, _NAME)
        with evaluating(encoder):
            for images, labels in views.epoch(epoch):
                with torch.no_grad(), runtime.autocast():
                    tokens = encoder.encode(images, None)
                yield pool(tokens.float(), self.feature), labels

    def _cached_batches(
        self, context: EvaluationContext, batch_size: int, epoch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        device = context.runtime.device
        features = context.features.get("train", self.feature).to(device)
        labels = torch.from_numpy(context.data.train.labels).to(device)
        order = torch.randperm(len(features), generator=stream(context.seed, _NAME, "order", epoch)).to(
            device
        )
        for start in range(0, len(features) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield features[chosen], labels[chosen]


def probe_head(width: int, num_classes: int) -> nn.Sequential:
    """BatchNorm without affine and a linear layer, initialised as in MAE; features (B, width) to logits."""
    head = nn.Linear(width, num_classes)
    nn.init.trunc_normal_(head.weight, std=_HEAD_STD)
    nn.init.zeros_(head.bias)
    return nn.Sequential(nn.BatchNorm1d(width, affine=False, eps=_NORM_EPS), head)


def probe_optimizer(probe: nn.Sequential, name: Literal["sgd", "lars"], weight_decay: float) -> Optimizer:
    """The optimiser of a probe's linear layer; its learning rate is set at each step."""

    from timm.optim.lars import Lars

    head = probe[-1]
    weight = {"params": [head.weight], "weight_decay": weight_decay}
    bias = {"params": [head.bias], "weight_decay": 0.0}
    if name == "sgd":
        return torch.optim.SGD([weight, bias], momentum=_MOMENTUM)
    # As in MAE: the weights' rate adapts even without weight decay, the bias's never does.
    optimizer: Optimizer = Lars([{**weight, "always_adapt": True}, bias], momentum=_MOMENTUM)
    return optimizer
