"""U-MAE's uniformity as a task for the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cmae_ablate.components.networks import Encoder, Objective, Term, View
from cmae_ablate.components.objectives.gather import gather
from cmae_ablate.components.objectives.similarity import spread
from cmae_ablate.components.protocols import UNIFORMITY
from cmae_ablate.distributed import world


@UNIFORMITY.register("u_mae", version=1)
class UMae(Objective):
    """Uniformity: the features of different images should be orthogonal, so that they do not collapse.

    Source: Zhang, Wang, Wang, How Mask Matters (U-MAE), arXiv 2210.08344: MAE's loss plus `weight` times the
    mean squared cosine of the features of two independent images. Different here: an image's cosine with
    itself, a constant 1 that the code averages in, is left out as in the equation (the code's loss on a
    batch of B is (B - 1)/B of ours plus 1/B); the features are the encoder's, after its final norm, where the
    code has a further LayerNorm; the batch is that of all ranks, with gradient to all of them.

    A batch of one image has no pair: its loss is 0.

    Args:
        encoder: Not read.
        weight: Factor of this loss in the sum. Source: U-MAE, 0.01.
        feature: What is spread: `mean` of the visible patch tokens, or `cls`, the class token. Source:
            U-MAE's code has both; here `mean`, which is what is probed.
    """

    num_views = 1

    def __init__(
        self,
        encoder: Encoder,
        *,
        weight: Annotated[float, Field(gt=0)] = 0.01,
        feature: Literal["mean", "cls"] = "mean",
    ) -> None:
        super().__init__()
        self.weight = weight
        self._reads_class = feature == "cls"

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """Mean over all views of each view's loss on its own batch."""
        features = [self._feature(view) for view in views]
        losses = [squared_cosines(each) for each in features]
        return Term(torch.stack(losses).mean(), {"feature_std": spread(features[0])})

    def _feature(self, view: View) -> Tensor:
        return view.tokens[:, 0] if self._reads_class else view.tokens[:, 1:].mean(dim=1)


def squared_cosines(features: Tensor) -> Tensor:
    """Mean squared cosine of this rank's features with those of all other images, of all ranks, a scalar.

    Args:
        features: Not normalised, (B, D).
    """
    with torch.autocast(features.device.type, enabled=False):
        own = functional.normalize(features.float(), dim=1)
        everyone = gather(own)
        squares = (own @ everyone.T).square()
        itself = torch.arange(len(own), device=own.device) + world()[0] * len(own)
        # Not subtracted: a sum of all less the own ones would leave rounding where all are orthogonal.
        others = squares.scatter(1, itself.unsqueeze(1), 0.0)
        return others.sum() / max(1, len(own) * (len(everyone) - 1))
