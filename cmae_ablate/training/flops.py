"""FLOPs of a whole trial, from what was counted of one step of it (`cost`). Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cmae_ablate.components.evaluation_protocols import EncodesAgain, FitsClassifier
from cmae_ablate.study.choice import Choice
from cmae_ablate.study.trial_spec import TrialSpec

ATTAINED = 0.4
"""Share of a machine's matrix-multiplication speed that a training step is assumed to reach."""


@dataclass(frozen=True)
class Cost:
    """What pretraining one trial costs.

    Attributes:
        num_views: Views of each image that a step needs.
        params_encoder: Trained parameters of the encoder.
        params_decoder: Trained parameters of the decoder.
        params_objectives: Trained parameters of each further objective; moving averages are not trained.
        flops_image: FLOPs of pretraining on one image: forward and backward over all of its views.
        flops_encode: FLOPs of encoding one whole image, forward only.
        flops_train_encoder: FLOPs of training the encoder on one whole image, as fine-tuning does.
        memory_bytes: Estimated peak: weights, gradients, optimiser and activations of one batch, with fused
            attention, in the trial's precision. Allocator and library overhead are not in it.
        num_patches: Patch tokens of a whole image.
        embed_dim: Their width.
    """

    num_views: int
    params_encoder: int
    params_decoder: int
    params_objectives: Mapping[str, int]
    flops_image: float
    flops_encode: float
    flops_train_encoder: float
    memory_bytes: int
    num_patches: int
    embed_dim: int


def pretraining_flops(cost: Cost, spec: TrialSpec, num_train: int) -> float:
    """FLOPs of the whole pretraining on `num_train` images; none where the encoder comes from a file."""
    if spec.is_pretrained:
        return 0.0
    return cost.flops_image * num_train * spec.training.epochs


def evaluation_flops(
    cost: Cost, choice: Choice, num_train: int, num_held_out: int, passes: int | None = None
) -> float:
    """FLOPs of one evaluation's passes through the encoder, without `classifier_flops`.

    Args:
        cost: The trial's.
        choice: The evaluation with its options.
        num_train: Training images.
        num_held_out: Validation and test images together.
        passes: `encoder_passes` of the evaluation, where it has been asked already.
    """
    passes = encoder_passes(choice) if passes is None else passes
    if choice.trains_encoder and passes:
        return passes * num_train * cost.flops_train_encoder + cost.flops_encode * num_held_out
    # Tokens are encoded once where they fit into memory; images that are augmented anew, in each epoch.
    return cost.flops_encode * (num_train + num_held_out) + passes * num_train * cost.flops_encode


def encoder_passes(choice: Choice) -> int:
    """How often an evaluation takes all training images through the encoder, frozen features aside."""
    evaluation = choice.build()
    return evaluation.encoder_passes() if isinstance(evaluation, EncodesAgain) else 0


def classifier_flops(cost: Cost, choice: Choice, num_classes: int) -> float:
    """FLOPs a training image of fitting an evaluation's classifier on features; 0 where it tells none."""
    evaluation = choice.build()
    if not isinstance(evaluation, FitsClassifier):
        return 0.0
    return evaluation.classifier_flops(cost.num_patches, cost.embed_dim, num_classes)
