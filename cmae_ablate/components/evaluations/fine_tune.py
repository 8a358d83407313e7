"""End-to-end fine-tuning: the number of the CMAE paper."""

from __future__ import annotations

import copy

from cmae_ablate.components.evaluation_protocols import EVALUATIONS, EvaluationContext, EvaluationResult
from cmae_ablate.components.evaluations.supervised import (
    Alpha,
    BatchSize,
    Epochs,
    LayerDecay,
    LearningRate,
    Probability,
    Share,
    Warmup,
    WeightDecay,
    recipe_of,
    train_and_test,
)


@EVALUATIONS.register("fine_tune", version=1, epochs="epochs", warmup="warmup_epochs")
class FineTune:
    """Fine-tuning of all weights, mean-pooled; test accuracy of the last epoch's model.

    Source: He et al., arXiv 2111.06377, with the defaults of its public code for ViT-B. Different here:
    no RandAugment, since batches are augmented on the device; and batch 256 where that code uses 1024
    over many devices, at the same base learning rate, which is scaled linearly. The abstract of CMAE
    (arXiv 2205.10546) fixes none of these numbers. No model is selected by its accuracy.

    Args:
        epochs: Passes over the training images. Source: MAE, 100.
        batch_size: Images a step; lowered to an even number that the training set allows. Source: MAE, 1024;
            here 256 at the same base rate.
        base_lr: Peak learning rate at batch 256, scaled linearly with the batch. Source: MAE's code, 5e-4.
        min_lr: Learning rate at the end of the cosine. Source: MAE, 1e-6.
        warmup_epochs: Linear warm-up. Source: MAE, 5.
        weight_decay: AdamW's; none on one-dimensional parameters and the class token. Source: MAE, 0.05.
        layer_decay: Factor of the learning rate from each layer to the one below; 1 is none. Source: MAE's
            code, 0.65.
        drop_path: Stochastic depth of the last block, from 0 in the first. Source: MAE, 0.1.
        label_smoothing: Share of the target spread over all classes. Source: MAE, 0.1.
        mixup: Alpha of mixup; 0 is off. With both on, each batch is mixed by one of the two at random.
            Source: MAE, 0.8.
        cutmix: Alpha of cutmix; 0 is off. Source: MAE, 1.
        random_erasing: Probability that a rectangle of an image is replaced by noise. Source: MAE, 0.25.
    """

    metrics: tuple[str, ...] = ("top1", "validation_top1")
    trains_encoder: bool = True

    def __init__(
        self,
        *,
        epochs: Epochs = 100,
        batch_size: BatchSize = 256,
        base_lr: LearningRate = 5e-4,
        min_lr: Share = 1e-6,
        warmup_epochs: Warmup = 5.0,
        weight_decay: WeightDecay = 0.05,
        layer_decay: LayerDecay = 0.65,
        drop_path: Share = 0.1,
        label_smoothing: Share = 0.1,
        mixup: Alpha = 0.8,
        cutmix: Alpha = 1.0,
        random_erasing: Probability = 0.25,
    ) -> None:
        self.recipe = recipe_of(locals())

    def encoder_passes(self) -> int:
        """One an epoch."""
        return self.recipe.epochs

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        """Train a copy of the encoder on `train`, report on `test`."""
        assert context.encoder is not None, "there is no encoder to fine-tune"
        return train_and_test(copy.deepcopy(context.encoder), self.recipe, context, "fine_tune")
