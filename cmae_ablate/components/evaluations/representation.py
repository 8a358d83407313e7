"""Diagnosis of a representation without labels: rank, alignment, uniformity, and whether it collapsed."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cmae_ablate.components.evaluation_protocols import EVALUATIONS, EvaluationContext, EvaluationResult
from cmae_ablate.components.evaluations.augment import random_views
from cmae_ablate.components.evaluations.features import evaluating, pool, split_of
from cmae_ablate.components.evaluations.scoring import FEATURE_WORDS
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.images import normalise_, take
from cmae_ablate.runtime import stream

COLLAPSED_STD = 0.01
"""Below this spread, where 1 is the most that is possible, features of all images are one point."""
COLLAPSED_RANK = 1.5
"""Below this effective rank, where 1 is the least, they lie on one line through the origin."""

_RANK_EPS = 1e-7
_BATCH = 256


@EVALUATIONS.register("representation", version=1)
class Representation:
    """Effective rank, alignment, uniformity and spread of frozen features; no labels, no classifier.

    Source: effective rank is RankMe (Garrido et al., arXiv 2210.02885), of the features as they are;
    alignment and uniformity are those of Wang and Isola (arXiv 2005.10242), on features of unit length:
    alignment is the mean squared distance of two random views (crop and flip) of one image, lower is more
    invariant; uniformity is the logarithm of the mean of exp(-2 d^2) over pairs of images, lower is more
    spread out. Different here: nothing in the formulas. They describe, and predict accuracy only loosely.
    Raw pixels have no alignment.

    Args:
        feature: `mean` patch token or `cls` token, after the encoder's final norm. Source: RankMe, the
            encoder's output; which token is ours.
        split: Which images; labels are never read. Source: RankMe, training images; here test images, labels
            unread.
        max_images: Images looked at, evenly spaced where the split has more. Source: RankMe, 25,600.
    """

    metrics: tuple[str, ...] = ("effective_rank", "alignment", "uniformity", "feature_std", "collapsed")
    trains_encoder: bool = False

    def __init__(
        self,
        *,
        feature: Literal["mean", "cls"] = "mean",
        split: Literal["train", "validation", "test"] = "test",
        max_images: Annotated[int, Field(ge=2, le=20_000)] = 4096,
    ) -> None:
        self.feature = feature
        self.split = split
        self.max_images = max_images

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        """Look at the features of one split."""
        count = len(split_of(context.data, self.split))
        chosen = np.unique(np.linspace(0, count - 1, min(count, self.max_images)).round().astype(np.int64))
        features = context.features.get(self.split, self.feature)[torch.from_numpy(chosen)]
        rank, spread = effective_rank(features), feature_std(features)
        metrics = {
            "effective_rank": rank,
            "uniformity": uniformity(features),
            "feature_std": spread,
            "collapsed": float(spread < COLLAPSED_STD or rank < COLLAPSED_RANK),
        }
        if context.encoder is not None:
            views = [self._view_features(context, context.encoder, chosen, view) for view in range(2)]
            metrics["alignment"] = alignment(*views)
        return EvaluationResult(
            metrics=metrics,
            predictions=None,
            protocol=(
                f"{len(chosen)} {self.split} images, labels unread; {FEATURE_WORDS[self.feature]} after the "
                "encoder's final norm, scaled to unit length but for the rank; alignment of two random crops."
            ),
        )

    def _view_features(
        self, context: EvaluationContext, encoder: Encoder, chosen: NDArray[np.int64], view: int
    ) -> Tensor:
        data, runtime = context.data, context.runtime
        parts = []
        with evaluating(encoder), torch.no_grad():
            for start in range(0, len(chosen), _BATCH):
                images = take(split_of(data, self.split), chosen[start : start + _BATCH], runtime.device)
                rng = stream(context.seed, "representation", view, start)
                views = normalise_(random_views(images, encoder.image_size, rng), data.mean, data.std)
                with runtime.autocast():
                    tokens = encoder.encode(views, None)
                parts.append(pool(tokens.float(), self.feature).cpu())
        return torch.cat(parts)


def effective_rank(features: Tensor) -> float:
    """RankMe: the exponential of the entropy of the singular values, in [1, min(n, D)]; features (n, D)."""
    values = torch.linalg.svdvals(features.double())
    shares = values / values.sum().clamp(min=_RANK_EPS) + _RANK_EPS
    return float((-(shares * shares.log()).sum()).exp())


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance on the unit sphere between features (n, D) of two views, in [0, 4]."""
    apart = functional.normalize(first, dim=1) - functional.normalize(second, dim=1)
    return float(apart.square().sum(dim=1).mean())


def uniformity(features: Tensor) -> float:
    """Logarithm of the mean Gaussian potential of all pairs of features (n, D) on the unit sphere, <= 0."""
    distances = torch.pdist(functional.normalize(features.double(), dim=1))
    return float((-2.0 * distances.square()).exp().mean().log())


def feature_std(features: Tensor) -> float:
    """Spread on the unit sphere: the standard deviation of each dimension, root mean square, times sqrt(D).

    1 where features point everywhere alike, 0 where all images have the same feature.
    """
    unit = functional.normalize(features.double(), dim=1)
    return float(unit.var(dim=0, correction=0).sum().sqrt())
