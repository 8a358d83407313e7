"""MoCo v3 as a task for the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from cmae_ablate.components.objectives.ema import follow, frozen_copy, frozen_encoder, momentum_at
from cmae_ablate.components.objectives.heads import Feature, Pooling, batch_norm_mlp
from cmae_ablate.components.objectives.similarity import info_nce, spread
from cmae_ablate.slots import CONTRASTIVE, Encoder, Term, View


@CONTRASTIVE.register("moco_v3", version=1)
class MocoV3(nn.Module):
    """MoCo v3: a momentum copy's view of the same image must be found among those of other images.

    Source: Chen, Xie, He, arXiv 2104.02057, and its code: symmetric InfoNCE over two views, negatives
    from the batch (of all ranks), no queue, 3-layer projector, 2-layer predictor, loss times twice the
    temperature. Different here: the encoder sees the visible patches only; the mean visible token is the
    default feature, since it is what is probed later and MAE's class token carries no loss; widths
    default to 512 and 128 rather than ImageNet's 4096 and 256; the patch embedding is trained. The same
    first author's later code (SDMAE) uses feature `decoder`, momentum 0.999, temperature 1, weight 0.1.

    A batch of one image has no negatives: its loss is 0 and its BatchNorms use running statistics.

    Args:
        encoder: Copied as the first key encoder.
        weight: Factor of this loss in the sum. Source: SDMAE, 0.1; MoCo v3 alone, 1.
        temperature: Divides the cosine similarities. Source: MoCo v3, 0.2 for ViTs; SDMAE, 1.
        momentum: Part of the key networks kept at each step. Source: MoCo v3, 0.99; SDMAE, 0.999.
        momentum_schedule: `cosine` raises the momentum to 1 by the end of training; `constant` leaves it.
            Source: MoCo v3, `cosine`.
        feature: What is projected: `mean` or `cls` of the visible tokens, or `decoder`, the mean output of a
            transformer branch over them. Source: MoCo v3, `cls`; SDMAE, `decoder`; here `mean`, which is what
            is probed.
        branch_depth: Blocks of that branch (only with feature `decoder`). Source: SDMAE, 2.
        branch_heads: Attention heads of that branch (only with feature `decoder`). Source: ours; SDMAE's are
            not known here.
        projector_layers: Linear layers of the projector. Source: MoCo v3, 3; SDMAE, 3.
        projector_hidden: Width of the hidden layers of projector and predictor. Source: MoCo v3, 4096; here
            smaller, as are data and batches.
        projector_out: Width of the embeddings. Source: MoCo v3, 256; here smaller, as are data and batches.
        key_mask: What the key encoder sees: the query's visible patches (`same`, cheap), or all (`none`).
            Source: MoCo v3 masks nothing, `none`; here `same`, which costs a quarter at ratio 0.75.

    Raises:
        UserError: `branch_heads` does not divide the encoder's width.
    """

    num_views = 2

    def __init__(
        self,
        encoder: Encoder,
        *,
        weight: Annotated[float, Field(gt=0)] = 0.1,
        temperature: Annotated[float, Field(gt=0)] = 0.2,
        momentum: Annotated[float, Field(ge=0, le=1)] = 0.99,
        momentum_schedule: Literal["cosine", "constant"] = "cosine",
        feature: Feature = "mean",
        branch_depth: Annotated[int, Field(ge=1, le=24)] = 2,
        branch_heads: Annotated[int, Field(ge=1, le=64)] = 4,
        projector_layers: Annotated[int, Field(ge=1, le=6)] = 3,
        projector_hidden: Annotated[int, Field(ge=1, le=16384)] = 512,
        projector_out: Annotated[int, Field(ge=1, le=16384)] = 128,
        key_mask: Literal["same", "none"] = "same",
    ) -> None:
        super().__init__()
        self.weight = weight
        self._temperature = temperature
        self._momentum = momentum
        self._rising = momentum_schedule == "cosine"
        self._keys_see_all = key_mask == "none"
        widths = [encoder.embed_dim, *[projector_hidden] * (projector_layers - 1), projector_out]
        self.projector = nn.Sequential(
            Pooling(encoder.embed_dim, feature, branch_depth, branch_heads),
            batch_norm_mlp(widths, final_norm=True),
        )
        self.predictor = batch_norm_mlp([projector_out, projector_hidden, projector_out], final_norm=True)
        self.key_encoder = frozen_encoder(encoder)
        self.key_projector = frozen_copy(self.projector)

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """Loss of the first two views, summed over both directions."""
        first, second = views[0], views[1]
        queries = [self.predictor(self.projector(view.tokens)) for view in (first, second)]
        keys = [self._keys(view) for view in (first, second)]
        # Each view's query looks for the other view's key.
        losses, found = zip(
            info_nce(queries[0], keys[1], self._temperature),
            info_nce(queries[1], keys[0], self._temperature),
            strict=True,
        )
        return Term(
            2 * self._temperature * torch.stack(losses).sum(),
            {"accuracy": torch.cat(found).float().mean(), "feature_std": spread(queries[0])},
        )

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """Let the key encoder and key projector follow theirs."""
        momentum = momentum_at(self._momentum, progress, rising=self._rising)
        follow(cast(nn.Module, self.key_encoder), cast(nn.Module, encoder), momentum)
        follow(self.key_projector, self.projector, momentum)

    @torch.no_grad()
    def _keys(self, view: View) -> Tensor:
        tokens = self.key_encoder.encode(view.images, None if self._keys_see_all else view.mask)
        keys: Tensor = self.key_projector(tokens)
        return keys
