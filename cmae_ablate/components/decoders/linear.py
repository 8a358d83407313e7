"""The smallest decoder: one linear layer."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from cmae_ablate.components.networks import View
from cmae_ablate.components.protocols import DECODERS
from cmae_ablate.components.vit_layers import initialise_as_mae


@DECODERS.register("linear", version=1)
class LinearDecoder(nn.Module):
    """A learned average of the visible tokens, then one linear layer: no attention, no MLP.

    Source: the lower end of the smaller-decoder claim of Mao et al., arXiv 2205.10546. Different here:
    its abstract does not say how small a decoder may be or what it looks like; this form is ours. A
    hidden patch must get its content from somewhere, so it takes the mean of the visible patch tokens,
    weighted by a softmax over the visible positions of a learned table (N x N) of how much each position
    tells about each other. Given the mask, predictions are affine in the tokens, and near patches weigh
    more at the start. The class token is not read.

    Args:
        embed_dim: Width of the encoder's tokens.
        grid: Patches per column and per row.
        target_dim: Values to predict per patch.
        reach: Distance in patches over which a weight falls by a factor e at initialisation. Source: ours.
    """

    def __init__(
        self,
        embed_dim: int,
        grid: tuple[int, int],
        target_dim: int,
        *,
        reach: Annotated[float, Field(gt=0, le=1000)] = 1.0,
    ) -> None:
        super().__init__()
        self.affinity = nn.Parameter(-_distances(grid) / reach)
        self.pred = nn.Linear(embed_dim, target_dim)
        initialise_as_mae(self)

    def forward(self, view: View) -> Tensor:
        """Predictions on hidden patches, (B, M, target_dim)."""
        pairs = view.mask.ids_hidden.unsqueeze(2), view.mask.ids_keep.unsqueeze(1)
        weights = self.affinity[pairs].softmax(dim=-1)
        # The linear layer goes first: it commutes with the average, and V tokens are fewer than M.
        predictions: Tensor = self.pred(view.tokens[:, 1:])
        return weights.to(predictions.dtype) @ predictions


def _distances(grid: tuple[int, int]) -> Tensor:
    """Euclidean distance between every two positions, in patches, (N, N)."""
    places = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).float()
    return (places[:, None] - places[None]).square().sum(-1).sqrt()
