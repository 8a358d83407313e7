"""Predicting positions that were withheld from the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from cmae_ablate.components.networks import Encoder, Objective, Term, View
from cmae_ablate.components.objectives.heads import position_head
from cmae_ablate.components.objectives.position_loss import PositionLoss, position_loss
from cmae_ablate.components.protocols import POSITION
from cmae_ablate.data.uploads import upload
from cmae_ablate.distributed import rand
from cmae_ablate.tokens import gather_tokens


@POSITION.register("dropped", version=1)
class DroppedPosition(Objective):
    """Dropped positions: tell where the visible tokens are whose position embeddings were withheld.

    Source: DropPos (Wang et al., arXiv 2309.03576), which withholds positions from a random part of the
    visible tokens and puts the loss on those; with `ratio` 1 it is MP3 (Zhai et al., arXiv 2207.07611),
    which withholds all. Different here: the withheld embedding is left out rather than replaced by a
    learnt one, there is no position smoothing, and the head is that of `absolute`, so that comparing
    the two compares the tasks.

    It encodes the first view a second time, which `absolute` does not: compare at equal cost too.

    Args:
        encoder: Read for its sizes.
        weight: Factor of this loss in the sum. Source: ours, that of `absolute`.
        ratio: Part of the visible tokens without position, rounded to at least one token. Source: DropPos,
            0.75; MP3, 1.
        loss: `cross_entropy`; `l2` to the one-hot index, summed over the N positions; or `mse`, the mean over
            them. Source: DropPos and MP3, `cross_entropy`.
        activation: Between the two linear layers of the head. Source: ours, that of `absolute`.
    """

    num_views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        weight: Annotated[float, Field(gt=0)] = 0.1,
        ratio: Annotated[float, Field(gt=0, le=1)] = 0.75,
        loss: PositionLoss = "cross_entropy",
        activation: Literal["none", "gelu"] = "none",
    ) -> None:
        super().__init__()
        self.weight = weight
        self._ratio = ratio
        self._loss: PositionLoss = loss
        self.head = position_head(encoder.embed_dim, encoder.num_patches, activation)

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """Mean over the tokens of the first view whose position was withheld."""
        view = views[0]
        ids_keep = view.mask.ids_keep
        batch, num_visible = ids_keep.shape
        num_withheld = max(1, round(self._ratio * num_visible))
        order = rand(batch, num_visible, images=0, generator=rng).argsort(dim=1)
        # A fixed count per image, as indices: a boolean selection would wait for the device.
        withheld = upload(order[:, :num_withheld], ids_keep.device)
        given = torch.ones_like(ids_keep, dtype=torch.bool).scatter(1, withheld, False)
        tokens = encoder.encode(view.images, view.mask, positions=given)[:, 1:]
        chosen = gather_tokens(tokens, withheld)
        positions = ids_keep.gather(1, withheld)
        loss, accuracy = position_loss(self.head(chosen.flatten(0, 1)), positions.flatten(), self._loss)
        return Term(loss, {"accuracy": accuracy})
