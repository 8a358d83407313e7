"""Supervised training from scratch: what pretraining must beat once labels are used."""

from __future__ import annotations

from dataclasses import replace

from cmae_ablate.components.evaluation_protocols import EVALUATIONS, EvaluationContext, EvaluationResult
from cmae_ablate.components.evaluations.supervised import (
    Alpha,
    BatchSize,
    Epochs,
    LearningRate,
    Probability,
    Share,
    Warmup,
    WeightDecay,
    recipe_of,
    train_and_test,
)
from cmae_ablate.components.fresh_encoder import freshly_initialised
from cmae_ablate.runtime import seeded


@EVALUATIONS.register("from_scratch", version=2, epochs="epochs", warmup="warmup_epochs")
class FromScratch:
    """The encoder's architecture trained with labels from a fresh initialisation; the control of `fine_tune`.

    Source: He et al., arXiv 2111.06377. Different here: the recipe is that of `fine_tune` without layer
    decay, which would all but freeze the lower layers. MAE trains longer from scratch (ViT-B: 300 epochs,
    weight decay 0.3, averaged weights): raise `epochs` before calling a gap over it the gain of
    pretraining.

    Args:
        epochs: Passes over the training images. Source: MAE from scratch, 300; here those of `fine_tune`.
        batch_size: Images a step; lowered to an even number that the training set allows. Source: MAE from
            scratch, 4096; here that of `fine_tune`.
        base_lr: Peak learning rate at batch 256, scaled linearly with the batch. Source: MAE from scratch,
            1e-4; here that of `fine_tune`.
        min_lr: Learning rate at the end of the cosine. Source: MAE, 1e-6.
        warmup_epochs: Linear warm-up. Source: MAE from scratch, 20; here that of `fine_tune`.
        weight_decay: AdamW's; none on one-dimensional parameters and the class token. Source: MAE from
            scratch, 0.3; here that of `fine_tune`.
        drop_path: Stochastic depth of the last block, from 0 in the first. Source: MAE, 0.1.
        label_smoothing: Share of the target spread over all classes. Source: MAE, 0.1.
        mixup: Alpha of mixup; 0 is off. With both on, each batch is mixed by one of the two at random.
            Source: MAE, 0.8.
        cutmix: Alpha of cutmix; 0 is off. Source: MAE, 1.
        random_erasing: Probability that a rectangle of an image is replaced by noise. Source: `fine_tune`'s,
            0.25.
    """

    metrics: tuple[str, ...] = ("top1", "validation_top1")
    trains_encoder: bool = True
    control_of: str = "fine_tune"

    def __init__(
        self,
        *,
        epochs: Epochs = 100,
        batch_size: BatchSize = 256,
        base_lr: LearningRate = 5e-4,
        min_lr: Share = 1e-6,
        warmup_epochs: Warmup = 5.0,
        weight_decay: WeightDecay = 0.05,
        drop_path: Share = 0.1,
        label_smoothing: Share = 0.1,
        mixup: Alpha = 0.8,
        cutmix: Alpha = 1.0,
        random_erasing: Probability = 0.25,
    ) -> None:
        self.recipe = recipe_of(locals(), layer_decay=1.0)

    def encoder_passes(self) -> int:
        """One an epoch."""
        return self.recipe.epochs

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        """Train a fresh encoder on `train`, report on `test`."""
        assert context.encoder is not None, "there is no architecture to train"
        with seeded(context.seed, "from_scratch", "encoder"):
            encoder = freshly_initialised(context.encoder)
        found = train_and_test(encoder, self.recipe, context, "from_scratch")
        return replace(found, protocol=f"Without pretraining, from a fresh initialisation: {found.protocol}")
