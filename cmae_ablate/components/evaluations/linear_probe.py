"""The linear probe on cached features."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from cmae_ablate.components.evaluation_protocols import (
    EVALUATIONS,
    Candidate,
    EvaluationContext,
    EvaluationResult,
)
from cmae_ablate.components.evaluations.candidates import CHOICE_WORDS, own_best
from cmae_ablate.components.evaluations.logistic import USUAL_LOOKS, Standardiser, fit_path
from cmae_ablate.components.evaluations.scoring import accuracies, feature_words


@EVALUATIONS.register("linear_probe", version=2)
class LinearProbe:
    """Logistic regression on frozen, cached features; a study chooses one L2 penalty for all its cells.

    Source: the probe of He et al., arXiv 2111.06377 (BatchNorm without affine, then a linear layer).
    Different here: the regression is solved to convergence, with an L2 penalty, on features of whole images,
    where MAE runs 90 epochs of LARS over augmented ones (`linear_probe_sgd`): one number without
    learning rate, schedule or seed. It reads the mean patch token, since MAE puts no loss on the class
    token. Train alone is fitted; validation only chooses, the stronger penalty where accuracies are equal:
    in a study one penalty for all cells, by the mean over them, since a choice for each would add its own
    noise to every difference. Test accuracies of the penalties that were not chosen decide nothing.

    Args:
        feature: `mean` patch token or `cls` token, after the encoder's final norm. Source: MAE probes its
            class token, or the mean; here the mean, as MAE puts no loss on the class token.
        l2: Penalties to choose from: factors of half the squared weights beside the mean cross-entropy.
            Source: ours; MAE's probe has no penalty.
    """

    metrics: tuple[str, ...] = ("top1", "validation_top1")
    trains_encoder: bool = False

    def __init__(
        self,
        *,
        feature: Literal["mean", "cls"] = "mean",
        l2: Annotated[tuple[Annotated[float, Field(ge=0, le=1e6)], ...], Field(min_length=1)] = (
            1e-1,
            1e-2,
            1e-3,
            1e-4,
            1e-5,
            1e-6,
            1e-7,
            1e-8,
        ),
    ) -> None:
        self.feature = feature
        # Strongest first: the path starts near zero, and a tie goes to the stronger penalty.
        self.l2 = sorted(l2, reverse=True)

    def classifier_flops(self, num_patches: int, embed_dim: int, num_classes: int) -> float:
        """The layer, forward and backward to its weights, at each look of each fit."""
        return len(self.l2) * USUAL_LOOKS * 4.0 * embed_dim * num_classes

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        """Fit on `train` with every penalty, report each on `validation` and `test`."""
        data = context.data
        standardise = Standardiser.of(self._features(context, "train"))
        train, validation, test = (
            standardise(self._features(context, split)) for split in ("train", "validation", "test")
        )
        labels = torch.from_numpy(data.train.labels).to(context.runtime.device)
        candidates: list[Candidate] = []
        converged = True
        fits = fit_path(train, labels, data.num_classes, self.l2, should_stop=context.should_stop)
        for penalty, fit in zip(self.l2, fits, strict=True):
            predictions = {"test": fit.predict(test).cpu(), "validation": fit.predict(validation)}
            metrics = accuracies(predictions, data)
            candidates.append(Candidate({"l2": penalty}, metrics, predictions["test"]))
            converged &= fit.converged
            context.on_step(len(candidates), len(self.l2))
        grid = ", ".join(f"{value:g}" for value in self.l2)
        protocol = (
            f"Logistic regression fitted on train to convergence; {feature_words(self.feature)}, "
            f"each dimension standardised by train; L2 penalty among {grid}, {CHOICE_WORDS}."
        )
        return own_best(candidates, protocol, {"converged": float(converged)})

    def _features(self, context: EvaluationContext, split: str) -> Tensor:
        return context.features.get(split, self.feature).to(context.runtime.device)
