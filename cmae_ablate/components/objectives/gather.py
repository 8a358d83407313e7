"""All ranks' embeddings on every rank, with gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from cmae_ablate.distributed import world


class _GatherWithGradient(torch.autograd.Function):
    """Concatenate equal batches of all ranks; backwards, sum what every rank's loss says about ours.

    `distributed.all_gather` alone cuts the graph, so that embeddings which served other ranks as
    negatives would get no gradient from there.
    """

    @staticmethod
    def forward(context: Any, embeddings: Tensor) -> Tensor:
        context.batch = len(embeddings)
        gathered = [torch.empty_like(embeddings) for _ in range(distributed.get_world_size())]
        distributed.all_gather(gathered, embeddings.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        # Summed, not averaged: DDP averages over ranks afterwards, which makes the mean of all losses.
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        start = distributed.get_rank() * context.batch
        return total[start : start + context.batch]


def gather(embeddings: Tensor) -> Tensor:
    """Concatenate the embeddings of all ranks in the order of ranks, with gradient.

    Args:
        embeddings: (B, ...), of the same shape on every rank.

    Returns:
        (ranks * B, ...); with one rank, `embeddings` itself.
    """
    if world()[1] == 1:
        return embeddings
    gathered: Tensor = _GatherWithGradient.apply(embeddings)
    return gathered
