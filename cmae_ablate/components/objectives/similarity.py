"""Losses and diagnostics on embeddings, shared by the contrastive objectives.

B batch, R ranks, E width of an embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cmae_ablate.components.objectives.gather import gather
from cmae_ablate.distributed import world


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of finding each query's own key among the keys of all ranks.

    Args:
        queries: Not normalised, (B, E).
        keys: Not normalised, (B, E); row i belongs to query i, all other rows are its negatives.
        temperature: Divides the cosine similarities, > 0.

    Returns:
        The mean loss over this rank's queries, a scalar, and whether each query's nearest key is its
        own, (B,), bool.
    """
    # In full precision: at low temperatures bf16 logits are off by whole tenths.
    with torch.autocast(queries.device.type, enabled=False):
        queries = functional.normalize(queries.float(), dim=1)
        keys = gather(functional.normalize(keys.float(), dim=1))
        logits = queries @ keys.T / temperature
        own = torch.arange(len(queries), device=queries.device) + world()[0] * len(queries)
        return functional.cross_entropy(logits, own), logits.detach().argmax(dim=1) == own


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """SimCLR's loss: each embedding must find its other view among the 2RB - 1 other embeddings.

    Args:
        first: Embeddings of one view, not normalised, (B, E).
        second: Embeddings of the other view of the same images, (B, E).
        temperature: Divides the cosine similarities, > 0.

    Returns:
        The mean loss over this rank's 2B embeddings, a scalar, and whether the nearest other
        embedding is the other view, (2B,), bool.
    """
    with torch.autocast(first.device.type, enabled=False):
        first = functional.normalize(first.float(), dim=1)
        second = functional.normalize(second.float(), dim=1)
        everyone = torch.cat([gather(first), gather(second)])
        rank, ranks = world()
        batch = len(first)
        here = torch.arange(batch, device=first.device) + rank * batch
        logits = torch.cat([first, second]) @ everyone.T / temperature
        itself = torch.cat([here, here + ranks * batch])
        other = torch.cat([here + ranks * batch, here])
        logits = logits.scatter(1, itself.unsqueeze(1), float("-inf"))
        return functional.cross_entropy(logits, other), logits.detach().argmax(dim=1) == other


def spread(embeddings: Tensor) -> Tensor:
    """Standard deviation of unit embeddings over the batch, averaged over channels, times sqrt(E).

    About 1 where embeddings fill the sphere, 0 where they have collapsed to one point. Scalar,
    detached. (B, E).
    """
    unit = functional.normalize(embeddings.detach().float(), dim=1)
    deviation: Tensor = unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5
    return deviation
