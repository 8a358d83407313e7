"""The learning rate as MAE has it, for pretraining and for evaluations that train."""

from __future__ import annotations

import math

import torch

BASE_BATCH = 256
"""`base_lr` is stated for this batch size and scaled linearly (Goyal et al., arXiv 1706.02677)."""


def lr_at(epoch: float, *, peak: float, floor: float, warmup: float, epochs: float) -> float:
    """Linear warm-up from zero, then half a cosine down to `floor`.

    Args:
        epoch: Progress in epochs, fractional: it is stepped each iteration, as in MAE.
        peak: Rate at the end of the warm-up.
        floor: Rate at the end.
        warmup: Length of the warm-up in epochs, below `epochs`.
        epochs: Length of the training.
    """
    if epoch < warmup:
        return peak * epoch / warmup
    progress = (epoch - warmup) / (epochs - warmup)
    return floor + (peak - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all groups, each scaled by its own `lr_scale` if it has one."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
