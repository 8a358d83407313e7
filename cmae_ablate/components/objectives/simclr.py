"""SimCLR as a task for the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from cmae_ablate.components.networks import Encoder, Objective, Term, View
from cmae_ablate.components.objectives.heads import Feature, Pooling, batch_norm_mlp
from cmae_ablate.components.objectives.similarity import nt_xent, spread
from cmae_ablate.components.protocols import CONTRASTIVE


@CONTRASTIVE.register("simclr", version=1)
class SimClr(Objective):
    """SimCLR: two views of an image must find each other among all views of the batch (NT-Xent).

    Source: Chen et al., arXiv 2002.05709: one encoder for both views, 2-layer projector with BatchNorm
    after each layer, 2N - 1 candidates (of all ranks). Different here: the encoder sees the visible
    patches only; the default temperature is `moco_v3`'s, so that comparing the two compares the
    methods (SimCLR: 0.1 on ImageNet, 0.5 on CIFAR-10); the hidden width defaults to 512, not 2048.

    A batch of one image has no negatives: its loss is 0.

    Args:
        encoder: Read for its sizes.
        weight: Factor of this loss in the sum; of another strength than `moco_v3`'s, see there.
            Source: as `moco_v3`; SimCLR alone, 1.
        temperature: Divides the cosine similarities. Source: SimCLR, 0.1 on ImageNet and 0.5 on CIFAR-10;
            here `moco_v3`'s.
        feature: What is projected: `mean` or `cls` of the visible tokens, or `decoder`, the mean output of a
            transformer branch over them. Source: SimCLR, the pooled features of a ResNet; SDMAE, a
            branch over the decoder's predictions (`moco_v3` has it); here `mean`, which is what is probed.
        branch_depth: Blocks of that branch (only with feature `decoder`). Source: SDMAE, 2.
        branch_heads: Attention heads of that branch (only with feature `decoder`). Source: SDMAE, 12; here
            4, as widths are smaller.
        projector_layers: Linear layers of the projector. Source: SimCLR, 2.
        projector_hidden: Width of its hidden layers. Source: SimCLR, 2048; here smaller, as are data and
            batches.
        projector_out: Width of the embeddings. Source: SimCLR, 128.

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
        feature: Feature = "mean",
        branch_depth: Annotated[int, Field(ge=1, le=24)] = 2,
        branch_heads: Annotated[int, Field(ge=1, le=64)] = 4,
        projector_layers: Annotated[int, Field(ge=1, le=6)] = 2,
        projector_hidden: Annotated[int, Field(ge=1, le=16384)] = 512,
        projector_out: Annotated[int, Field(ge=1, le=16384)] = 128,
    ) -> None:
        super().__init__()
        self.weight = weight
        self._temperature = temperature
        widths = [encoder.embed_dim, *[projector_hidden] * (projector_layers - 1), projector_out]
        self.projector = nn.Sequential(
            Pooling(encoder.embed_dim, feature, branch_depth, branch_heads),
            batch_norm_mlp(widths, final_norm=True),
        )

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """Loss of the first two views."""
        first, second = (self.projector(view.tokens) for view in views[:2])
        loss, found = nt_xent(first, second, self._temperature)
        return Term(loss, {"accuracy": found.float().mean(), "feature_std": spread(first)})
