"""Predicting the absolute position of every visible token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from cmae_ablate.components.networks import Encoder, Objective, Term, View
from cmae_ablate.components.objectives.heads import position_head
from cmae_ablate.components.objectives.position_loss import PositionLoss, position_loss
from cmae_ablate.components.protocols import POSITION


@POSITION.register("absolute", version=1)
class AbsolutePosition(Objective):
    """Absolute position: tell each visible token's original index among all N patches.

    Source: Mao et al., arXiv 2205.10546, whose abstract says no more than 'token position prediction';
    head (two linear layers D -> D/2 -> N), squared error and use of every view follow the first author's
    later code (SDMAE). Different here: cross-entropy is the default, because indices are classes.

    The encoder is *given* each token's position as an embedding, so that the task is nearly given away
    (100 % accuracy within an epoch in our trials); `dropped` is the task with the answer withheld.

    Args:
        encoder: Read for its sizes.
        weight: Factor of this loss in the sum. Source: SDMAE, 1 with `mse`, which is 1/N with `l2` (0.0051
            at 196 patches); here 0.1, for `cross_entropy`.
        loss: `cross_entropy`; `l2` to the one-hot index, summed over the N positions; or `mse`, the mean over
            them. Source: SDMAE, `mse`; here `cross_entropy`, as indices are classes.
        activation: Between the two linear layers of the head. Source: SDMAE, `none`.
    """

    num_views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        weight: Annotated[float, Field(gt=0)] = 0.1,
        loss: PositionLoss = "cross_entropy",
        activation: Literal["none", "gelu"] = "none",
    ) -> None:
        super().__init__()
        self.weight = weight
        self._loss: PositionLoss = loss
        self.head = position_head(encoder.embed_dim, encoder.num_patches, activation)

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """Mean over the visible tokens of all views."""
        tokens = torch.cat([view.tokens[:, 1:].flatten(0, 1) for view in views])
        positions = torch.cat([view.mask.ids_keep.flatten() for view in views])
        loss, accuracy = position_loss(self.head(tokens), positions, self._loss)
        return Term(loss, {"accuracy": accuracy})
