"""Slow copies of networks: exponential moving averages of their parameters."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Network = TypeVar("Network", bound=nn.Module)


def frozen_copy(module: Network) -> Network:
    """An equal network of its own that no optimiser trains."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Move `target` towards `online`: target = momentum * target + (1 - momentum) * online.

    Buffers (running statistics, position tables) are copied, not averaged.

    Args:
        target: A `frozen_copy` of `online`.
        online: The trained network.
        momentum: In [0, 1]; 1 leaves the parameters alone.
    """
    slow: list[Tensor] = list(target.parameters())
    fast: list[Tensor] = list(online.parameters())
    if slow:
        # One fused call for all tensors: about half the time of a loop over them.
        get_ema_multi_avg_fn(momentum)(slow, fast, 0)
    of_type: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
    for kept, current in zip(target.buffers(), online.buffers(), strict=True):
        of_type[kept.dtype][0].append(kept)
        of_type[kept.dtype][1].append(current)
    for copies, originals in of_type.values():
        torch._foreach_copy_(copies, originals)  # one launch for all: a batch norm alone has three


def momentum_at(start: float, progress: float, *, rising: bool) -> float:
    """The momentum after a part of the training.

    Args:
        start: Momentum at the beginning, in [0, 1].
        progress: Part of the training done, in [0, 1].
        rising: Whether it rises to 1 along a half cosine, as BYOL's and MoCo v3's does, or stays.
    """
    if not rising:
        return start
    return 1.0 - (1.0 - start) * (math.cos(math.pi * progress) + 1.0) / 2.0
