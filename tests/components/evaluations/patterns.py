"""A tiny labelled data set whose classes are learnable, a small encoder, and contexts made from both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.components.evaluation_protocols import EvaluationContext
from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.runtime import Runtime, seeded

CLASSES = 4
SIDE = 16


def pattern_data() -> DataArrays:
    """Four classes, each a pattern under noise: 96 train, 32 validation, 40 test images of 16 pixels."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(60, 200, (CLASSES, 3, SIDE // 4, SIDE // 4)).repeat(4, axis=2).repeat(4, axis=3)
    train, validation, test = (_split(count, rng, patterns) for count in (96, 32, 40))
    return DataArrays(
        name="patterns",
        class_names=tuple("abcd"),
        digest="0" * 64,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        notices=(),
        train=train,
        validation=validation,
        test=test,
    )


def small_encoder() -> VitEncoder:
    """A randomly initialised ViT: 16 pixels, patch 4, width 16, two blocks."""
    with seeded(0, "encoder"):
        return vit(SIDE, dim=16, depth=2, heads=2, patch=4)


def pattern_context(
    data: DataArrays | None = None,
    encoder: VitEncoder | None = None,
    *,
    runtime: Runtime | None = None,
    seed: int = 0,
) -> EvaluationContext:
    """The context of an evaluation, with features of its own."""
    data, encoder, runtime = data or pattern_data(), encoder or small_encoder(), runtime or Runtime()
    features = FrozenFeatures(encoder, data, runtime, batch_size=32)
    return EvaluationContext(encoder, features, data, runtime, seed)


def _split(count: int, rng: np.random.Generator, patterns: NDArray[np.float64]) -> Split:
    labels = rng.permutation(np.arange(count) % CLASSES).astype(np.int64)
    noisy = patterns[labels] + rng.normal(0.0, 40.0, (count, 3, SIDE, SIDE))
    return Split(noisy.clip(0, 255).astype(np.uint8), labels, np.full((count, 4), np.nan, dtype=np.float32))


def counted_flops(work: Callable[[], object]) -> int:
    """FLOPs of matrix products, as torch counts them while it computes."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
