"""Encoders before any training: what random-init controls evaluate, and training from scratch begins with."""

from __future__ import annotations

import torch

from cmae_ablate.components.fresh_encoder import freshly_initialised
from cmae_ablate.components.networks import Encoder
from cmae_ablate.runtime import seeded
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.model import build_encoder


def untrained_encoder(spec: TrialSpec, image_size: int) -> Encoder:
    """The trial's architecture with random weights, other ones for each seed.

    They are the very weights that the trial's pretraining begins with, unless these are not drawn: where the
    backbone reads a file, or gives the same weights for every seed, its encoder is initialised anew.

    Args:
        spec: The trial.
        image_size: Side of the encoder's input in pixels.

    Raises:
        UserError: The backbone cannot be built, or comes with weights and has no way to draw others.
    """
    encoder = build_encoder(spec, image_size)
    if not spec.is_pretrained and _are_drawn(
        encoder, build_encoder(spec.with_seed(spec.seed + 1), image_size)
    ):
        return encoder
    with seeded(spec.seed, "init", "backbone", "fresh"):
        return freshly_initialised(encoder)


def _are_drawn(encoder: Encoder, other: Encoder) -> bool:
    """Whether no trained matrix is the same under another seed; one number throughout says nothing."""
    pairs = zip(encoder.parameters(), other.parameters(), strict=True)
    return not any(
        ours.requires_grad
        and ours.ndim > 1
        and bool((ours != ours.flatten()[0]).any())
        and torch.equal(ours, theirs)
        for ours, theirs in pairs
    )
