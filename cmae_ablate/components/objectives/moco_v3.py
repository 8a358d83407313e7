"""MoCo v3 as a task for the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cmae_ablate.components.ema import follow, frozen_copy, momentum_at
from cmae_ablate.components.networks import Encoder, Objective, Term, View
from cmae_ablate.components.objectives.heads import FeatureOrPrediction, Pooling, batch_norm_mlp
from cmae_ablate.components.objectives.similarity import info_nce, spread
from cmae_ablate.components.protocols import CONTRASTIVE
from cmae_ablate.components.vit_encoder import COLOURS
from cmae_ablate.components.vit_layers import initialise_as_mae
from cmae_ablate.errors import UserError

WIDENING = 16 / 3
"""SDMAE's hidden width of the heads over the encoder's, 4096 / 768."""


@CONTRASTIVE.register("moco_v3", version=1)
class MocoV3(Objective):
    """MoCo v3: a momentum copy's view of the same image must be found among those of other images.

    Source: Chen, Xie, He, arXiv 2104.02057, and its code: symmetric InfoNCE over two views, negatives
    from the batch (of all ranks), no queue, 3-layer projector, 2-layer predictor, loss times twice the
    temperature. Different here: the encoder sees the visible patches only; the mean visible token is the
    default feature, since it is what is probed later and MAE's class token carries no loss; widths
    default to 512 and 128 rather than ImageNet's 4096 and 256; the patch embedding is trained, unless the
    backbone says otherwise. The later code of CMAE's first author (SDMAE) has feature `prediction`, no key
    encoder, a constant momentum of 0.999, temperature 1 and weight 0.05: the study `cmae_presets` has them.

    At one weight the contrastive kinds do not pull alike. With the cpu scale's encoder and images, the norm
    of SimCLR's gradient on the encoder is 1.8 times that of MoCo v3 at initialisation, BYOL's 0.66 times
    (batch 64); after an epoch at batch 16, 3.7 and 0.65 times (1.5 and 0.5 at initialisation there).
    Comparing them at equal `weight` compares strengths, too.

    A batch of one image has no negatives: its loss is 0 and its BatchNorms use running statistics.

    Args:
        encoder: Copied as the first key encoder.
        weight: Factor of this loss in the sum. Source: MoCo v3 alone, 1; SDMAE, 0.1 beside sums over two
            views, which is 0.05 beside our means over them; here 0.1.
        temperature: Divides the cosine similarities. Source: MoCo v3, 0.2 for ViTs; SDMAE, 1.
        momentum: Part of the key networks kept at each step. Source: MoCo v3, 0.99; SDMAE, 0.999.
        momentum_schedule: `cosine` raises the momentum to 1 by the end of training; `constant` leaves it.
            Source: MoCo v3, `cosine`; SDMAE, `constant`.
        feature: What is projected: `mean` or `cls` of the visible tokens; `decoder`, the mean output of a
            transformer branch over them; or `prediction`, the class token's output of a branch over the
            *decoder's* predictions for class token and all patches, its heads initialised as MAE's layers.
            Source: MoCo v3, `cls`; SDMAE, `prediction`; here `mean`, which is what is probed.
        branch_depth: Blocks of that branch (only with `decoder` and `prediction`). Source: SDMAE, 2.
        branch_heads: Attention heads of that branch (only with `decoder` and `prediction`). Source: SDMAE,
            12; here 4, as widths are smaller.
        projector_layers: Linear layers of the projector. Source: MoCo v3, 3; SDMAE, 3.
        projector_hidden: Width of the hidden layers of projector and predictor; null is SDMAE's for a ViT-B,
            scaled with the encoder's width, 16/3 of it. Source: MoCo v3 and SDMAE, 4096; here smaller, as are
            data and batches.
        projector_out: Width of the embeddings; null is the encoder's width. Source: MoCo v3, 256; SDMAE, the
            encoder's width, 768; here smaller, as are data and batches.
        key_encoder: `momentum`: keys come from a momentum copy of encoder and projector. `none`: the encoder
            itself makes them, without gradient, and branch and projector alone have a momentum copy. Source:
            MoCo v3, `momentum`; SDMAE, `none`.
        key_mask: What the key encoder sees: the query's visible patches (`same`, cheap), or all (`none`);
            only with a momentum encoder. Source: MoCo v3 masks nothing, `none`; here `same`, which costs a
            quarter at ratio 0.75.

    Raises:
        UserError: `branch_heads` does not divide the branch's width, or `prediction` meets a momentum
            encoder.
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
        feature: FeatureOrPrediction = "mean",
        branch_depth: Annotated[int, Field(ge=1, le=24)] = 2,
        branch_heads: Annotated[int, Field(ge=1, le=64)] = 4,
        projector_layers: Annotated[int, Field(ge=1, le=6)] = 3,
        projector_hidden: Annotated[int | None, Field(ge=1, le=16384)] = 512,
        projector_out: Annotated[int | None, Field(ge=1, le=16384)] = 128,
        key_encoder: Literal["momentum", "none"] = "momentum",
        key_mask: Literal["same", "none"] = "same",
    ) -> None:
        super().__init__()
        self.weight = weight
        self._temperature = temperature
        self._momentum = momentum
        self._rising = momentum_schedule == "cosine"
        self._keys_see_all = key_mask == "none"
        pixels = encoder.patch_size**2 * COLOURS
        self.prediction_dim = pixels if feature == "prediction" else None
        if feature == "prediction" and key_encoder == "momentum":
            raise UserError(
                "objectives.contrastive.feature: prediction reads the decoder, of which there is no momentum "
                "copy; set objectives.contrastive.key_encoder to none"
            )
        hidden = projector_hidden or max(1, round(WIDENING * encoder.embed_dim))
        out = projector_out or encoder.embed_dim
        dim = self.prediction_dim or encoder.embed_dim
        self.projector = nn.Sequential(
            Pooling(dim, feature, branch_depth, branch_heads),
            batch_norm_mlp([dim, *[hidden] * (projector_layers - 1), out], final_norm=True),
        )
        self.predictor = batch_norm_mlp([out, hidden, out], final_norm=True)
        if feature == "prediction":
            initialise_as_mae(self.projector)
            initialise_as_mae(self.predictor)
        self.key_encoder = frozen_copy(encoder) if key_encoder == "momentum" else None
        self.key_projector = frozen_copy(self.projector)

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """Loss of the first two views, summed over both directions."""
        first, second = views[0], views[1]
        queries = [self.predictor(self.projector(self._read(view))) for view in (first, second)]
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
        if self.key_encoder is not None:
            follow(self.key_encoder, encoder, momentum)
        follow(self.key_projector, self.projector, momentum)

    def _read(self, view: View) -> Tensor:
        """What queries are made of: visible tokens (B, 1 + V, D), or predictions (B, 1 + N, Q)."""
        if self.prediction_dim is None:
            return view.tokens
        assert view.predictions is not None, "the model predicts every token where an objective reads them"
        return view.predictions

    @torch.no_grad()
    def _keys(self, view: View) -> Tensor:
        if self.key_encoder is None:
            tokens = self._read(view)
        else:
            tokens = self.key_encoder.encode(view.images, None if self._keys_see_all else view.mask)
        keys: Tensor = self.key_projector(tokens)
        return keys
