"""Whether an encoder gives every image the same feature."""

from __future__ import annotations

import numpy as np
import torch

from cmae_ablate.components.evaluations.features import pool
from cmae_ablate.components.evaluations.representation import (
    COLLAPSED_RANK,
    COLLAPSED_STD,
    effective_rank,
    feature_std,
)
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.data.images import WholeImages, take

IMAGES = 256
_BATCH = 64


@torch.no_grad()
def collapse_warning(encoder: Encoder, data: DataArrays, split: Split, device: torch.device) -> str | None:
    """Say so where features have collapsed, judged as the evaluation `representation` does.

    Args:
        encoder: In eval mode, on `device`.
        data: For its mean and deviation.
        split: Of its images up to 256, evenly spaced, are encoded.
        device: Where to compute.

    Returns:
        A sentence for the user, or None where features differ.
    """
    whole = WholeImages(data, split, encoder.image_size, device)
    chosen = np.linspace(0, len(whole) - 1, min(IMAGES, len(whole))).round().astype(np.int64)
    parts = [
        pool(encoder.encode(whole.prepare(take(split, batch, device)), None).float(), "mean").cpu()
        for batch in np.split(chosen, range(_BATCH, len(chosen), _BATCH))
    ]
    features = torch.cat(parts)
    if not bool(features.isfinite().all()):
        return "features are not finite (NaN or infinity): the weights diverged; pretrain anew"
    spread, rank = feature_std(features), effective_rank(features)
    if spread >= COLLAPSED_STD and rank >= COLLAPSED_RANK:
        return None
    return (
        f"features have collapsed: over {len(features)} images their standard deviation is {spread:.2g} "
        f"(collapsed below {COLLAPSED_STD}) and their effective rank {rank:.2f} (below {COLLAPSED_RANK}); "
        "the encoder hardly tells images apart"
    )
