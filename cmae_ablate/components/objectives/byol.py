"""BYOL as a task for the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.components.ema import follow, frozen_copy, momentum_at
from cmae_ablate.components.networks import Encoder, Objective, Term, View
from cmae_ablate.components.objectives.heads import Feature, Pooling, batch_norm_mlp
from cmae_ablate.components.objectives.similarity import spread
from cmae_ablate.components.protocols import CONTRASTIVE


@CONTRASTIVE.register("byol", version=1)
class Byol(Objective):
    """BYOL: predict a momentum copy's embedding of the other view, without negatives.

    Source: Grill et al., arXiv 2006.07733: loss 2 - 2 cos, summed over both directions; projector and
    predictor of two layers, BatchNorm and ReLU after the first; momentum 0.996, rising to 1. Different
    here: the encoder sees the visible patches only; widths default to 512 and 128 rather than 4096 and
    256. Nothing but the predictor and the slow copy keeps it from collapsing: watch `feature_std`.

    A batch of one image is trained on, with the running statistics of the BatchNorms.

    Args:
        encoder: Copied as the first target encoder.
        weight: Factor of this loss in the sum; of another strength than `moco_v3`'s, see there.
            Source: as `moco_v3`; BYOL alone, 1.
        momentum: Part of the target networks kept at each step. Source: BYOL, 0.996.
        momentum_schedule: `cosine` raises the momentum to 1 by the end of training; `constant` leaves it.
            Source: BYOL, `cosine`.
        feature: What is projected: `mean` or `cls` of the visible tokens, or `decoder`, the mean output of a
            transformer branch over them. Source: BYOL, the pooled features of a ResNet; SDMAE, a
            branch over the decoder's predictions (`moco_v3` has it); here `mean`, which is what is probed.
        branch_depth: Blocks of that branch (only with feature `decoder`). Source: SDMAE, 2.
        branch_heads: Attention heads of that branch (only with feature `decoder`). Source: SDMAE, 12; here
            4, as widths are smaller.
        projector_layers: Linear layers of the projector. Source: BYOL, 2.
        projector_hidden: Width of the hidden layers of projector and predictor. Source: BYOL, 4096; here
            smaller, as are data and batches.
        projector_out: Width of the embeddings. Source: BYOL, 256; here smaller, as are data and batches.
        key_mask: What the target encoder sees: the visible patches (`same`, cheap), or all (`none`). Source:
            BYOL masks nothing, `none`; here `same`, which costs a quarter at ratio 0.75.

    Raises:
        UserError: `branch_heads` does not divide the encoder's width.
    """

    num_views = 2

    def __init__(
        self,
        encoder: Encoder,
        *,
        weight: Annotated[float, Field(gt=0)] = 0.1,
        momentum: Annotated[float, Field(ge=0, le=1)] = 0.996,
        momentum_schedule: Literal["cosine", "constant"] = "cosine",
        feature: Feature = "mean",
        branch_depth: Annotated[int, Field(ge=1, le=24)] = 2,
        branch_heads: Annotated[int, Field(ge=1, le=64)] = 4,
        projector_layers: Annotated[int, Field(ge=1, le=6)] = 2,
        projector_hidden: Annotated[int, Field(ge=1, le=16384)] = 512,
        projector_out: Annotated[int, Field(ge=1, le=16384)] = 128,
        key_mask: Literal["same", "none"] = "same",
    ) -> None:
        super().__init__()
        self.weight = weight
        self._momentum = momentum
        self._rising = momentum_schedule == "cosine"
        self._targets_see_all = key_mask == "none"
        widths = [encoder.embed_dim, *[projector_hidden] * (projector_layers - 1), projector_out]
        self.projector = nn.Sequential(
            Pooling(encoder.embed_dim, feature, branch_depth, branch_heads),
            batch_norm_mlp(widths, final_norm=False),
        )
        self.predictor = batch_norm_mlp([projector_out, projector_hidden, projector_out], final_norm=False)
        self.target_encoder = frozen_copy(encoder)
        self.target_projector = frozen_copy(self.projector)

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """Loss of the first two views, summed over both directions."""
        predicted = [self.predictor(self.projector(view.tokens)).float() for view in views[:2]]
        wanted = [self._targets(view).float() for view in views[:2]]
        cosines = torch.cat(
            [
                functional.cosine_similarity(predicted[0], wanted[1]),
                functional.cosine_similarity(predicted[1], wanted[0]),
            ]
        )
        # The mean over 2B rows of the doubled loss is the sum over both directions.
        return Term(
            2 * (2 - 2 * cosines).mean(),
            {"cosine": cosines.detach().mean(), "feature_std": spread(predicted[0])},
        )

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """Let the target encoder and target projector follow theirs."""
        momentum = momentum_at(self._momentum, progress, rising=self._rising)
        follow(self.target_encoder, encoder, momentum)
        follow(self.target_projector, self.projector, momentum)

    @torch.no_grad()
    def _targets(self, view: View) -> Tensor:
        tokens = self.target_encoder.encode(view.images, None if self._targets_see_all else view.mask)
        targets: Tensor = self.target_projector(tokens)
        return targets
