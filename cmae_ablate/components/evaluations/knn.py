"""The weighted nearest-neighbour classifier on frozen features."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cmae_ablate.components.evaluation_protocols import EVALUATIONS, EvaluationContext, EvaluationResult
from cmae_ablate.components.evaluations.scoring import accuracies, feature_words

_CHUNK_NUMBERS = 2**24
"""Similarities or ballots held at once; ballots are int64 first, so 128 MiB."""


@EVALUATIONS.register("knn", version=1)
class KNearestNeighbours:
    """Weighted k-nearest-neighbour classification of frozen features; nothing is trained or chosen.

    Source: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, arXiv
    1805.01978: cosine similarity s, each neighbour votes for its class with exp(s / temperature); k and
    temperature as DINO (arXiv 2104.14294) uses them. Different here: the feature; DINO reads the class token,
    on which MAE puts no loss.

    Args:
        k: Neighbours that vote; all training images where there are fewer. Source: DINO, 20.
        temperature: Of the votes; towards 0 the nearest neighbour alone decides. Source: DINO, 0.07.
        feature: `mean` patch token or `cls` token, after the encoder's final norm. Source: DINO, `cls`; here
            `mean`, as MAE puts no loss on the class token.
    """

    metrics: tuple[str, ...] = ("top1", "validation_top1")
    trains_encoder: bool = False

    def __init__(
        self,
        *,
        k: Annotated[int, Field(ge=1, le=100_000)] = 20,
        temperature: Annotated[float, Field(gt=0, le=100)] = 0.07,
        feature: Literal["mean", "cls"] = "mean",
    ) -> None:
        self.k = k
        self.temperature = temperature
        self.feature = feature

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        """Classify `validation` and `test` by their neighbours in `train`."""
        data, device = context.data, context.runtime.device
        bank = context.features.get("train", self.feature).to(device)
        labels = torch.from_numpy(data.train.labels).to(device)
        predictions = {
            split: vote(
                context.features.get(split, self.feature).to(device),
                bank,
                labels,
                data.num_classes,
                k=min(self.k, len(bank)),
                temperature=self.temperature,
            ).cpu()
            for split in ("validation", "test")
        }
        return EvaluationResult(
            metrics=accuracies(predictions, data),
            predictions=predictions["test"],
            protocol=(
                f"{min(self.k, len(bank))}-NN by cosine similarity, votes weighted by "
                f"exp(similarity / {self.temperature:g}); {feature_words(self.feature)}, "
                "scaled to unit length; neighbours from train, no choice made."
            ),
        )


def vote(
    queries: Tensor, bank: Tensor, labels: Tensor, num_classes: int, *, k: int, temperature: float
) -> Tensor:
    """Classes elected by the nearest neighbours.

    Args:
        queries: Features to classify, (n, D).
        bank: Features of known class, (m, D).
        labels: Classes of the bank, (m,), int64.
        num_classes: How many classes there are.
        k: Neighbours that vote, in [1, m].
        temperature: Of the votes, above 0.

    Returns:
        Predicted classes, (n,), int64; the smaller class where votes are equal.
    """
    bank = functional.normalize(bank, dim=1)
    rows = max(1, _CHUNK_NUMBERS // max(len(bank), k * num_classes))
    elected = []
    for chunk in torch.split(functional.normalize(queries, dim=1), rows):
        similarity, neighbours = (chunk @ bank.T).topk(k, dim=1)
        # Relative to the nearest: the order of votes is the same, and exp cannot overflow.
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
        # A product rather than scatter_add, whose order of summation varies on CUDA.
        ballots = functional.one_hot(labels[neighbours], num_classes).to(weights.dtype)
        elected.append((weights.unsqueeze(1) @ ballots).squeeze(1).argmax(dim=1))
    return torch.cat(elected)
