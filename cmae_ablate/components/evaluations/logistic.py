"""Multinomial logistic regression with an L2 penalty, fitted to convergence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from cmae_ablate.errors import Interrupted

STD_EPS = 1e-6
_VARIANCE_FLOOR = 1e-6
_HISTORY = 20
USUAL_LOOKS = 25
"""How often a fit takes all features through its layer: about 20 iterations, some with a second look."""
_MOST_ITERATIONS = 1000  # a penalty
_TOLERANCE = 1e-5  # of each component of the gradient, in the scaled coordinates
_CHANGE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Standardiser:
    """Zero mean and unit variance for each feature: BatchNorm without affine, as in MAE's probe.

    Attributes:
        mean: Per feature, (D,).
        scale: Standard deviation per feature, (D,), with 1e-6 added to the variance.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Standardiser:
        """Statistics of features (n, D); variance over n, as BatchNorm normalises."""
        variance, mean = torch.var_mean(features, dim=0, correction=0)
        return cls(mean, (variance + STD_EPS).sqrt())

    def to(self, device: torch.device) -> Standardiser:
        """The same on another device."""
        return Standardiser(self.mean.to(device), self.scale.to(device))

    def __call__(self, features: Tensor) -> Tensor:
        """Standardise (..., D)."""
        return (features - self.mean) / self.scale


@dataclass(frozen=True)
class LogisticFit:
    """A fitted classifier.

    Attributes:
        weight: (D, K).
        bias: (K,).
        loss: Mean cross-entropy plus penalty at the solution.
        converged: Whether the minimum was reached before the iterations ran out.
    """

    weight: Tensor
    bias: Tensor
    loss: float
    converged: bool

    def predict(self, features: Tensor) -> Tensor:
        """Classes of features (n, D), as (n,) int64."""
        return torch.addmm(self.bias, features, self.weight).argmax(dim=1)


def fit_path(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    penalties: Sequence[float],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[LogisticFit]:
    """Fit once per penalty, each fit starting where the one before ended.

    Minimises mean cross-entropy + penalty / 2 * ||weight||^2 by L-BFGS with a strong-Wolfe line search,
    from zero: deterministic. The bias is not penalised. In scikit-learn's terms C = 1 / (n * penalty).

    Args:
        features: (n, D), standardised.
        labels: Classes in [0, num_classes), (n,), int64.
        num_classes: K.
        penalties: Not negative; in descending order the path is short.
        should_stop: Asked before each look at the data.

    Yields:
        One fit per penalty, in the order given.

    Raises:
        Interrupted: Told to stop.
    """
    variances, axes = torch.linalg.eigh(features.T @ features / len(features))
    variances = variances.clamp(min=_VARIANCE_FLOOR * variances[-1].item())
    rotated = features @ axes
    weight = features.new_zeros(features.shape[1], num_classes)
    bias = features.new_zeros(num_classes)
    for penalty in penalties:
        # Where all classes are equally likely the Hessian is close to this in each direction. Solving in
        # coordinates scaled by its root takes a tenth of the iterations: features are strongly correlated.
        scale = (variances / num_classes + penalty).sqrt().unsqueeze(1)
        scaled = (axes.T @ weight * scale).requires_grad_()
        bias = bias.clone().requires_grad_()
        inputs, shrinkage = rotated / scale.T, penalty / scale**2
        objective = partial(_loss, inputs, labels, scaled, bias, shrinkage, should_stop)
        loss, converged = _minimise(objective, [scaled, bias])
        weight, bias = axes @ (scaled.detach() / scale), bias.detach()
        yield LogisticFit(weight, bias, loss, converged)


def _loss(
    inputs: Tensor,
    labels: Tensor,
    weight: Tensor,
    bias: Tensor,
    penalty: Tensor,
    should_stop: Callable[[], bool],
) -> Tensor:
    if should_stop():
        raise Interrupted
    cross_entropy = functional.cross_entropy(torch.addmm(bias, inputs, weight), labels)
    return cross_entropy + 0.5 * (penalty * weight.square()).sum()


def _minimise(objective: Callable[[], Tensor], variables: list[Tensor]) -> tuple[float, bool]:
    """Move the variables to the minimum; the loss there, and whether it was reached."""
    optimizer = torch.optim.LBFGS(
        variables,
        max_iter=_MOST_ITERATIONS,
        max_eval=10 * _MOST_ITERATIONS,
        tolerance_grad=_TOLERANCE,
        tolerance_change=_CHANGE_TOLERANCE,
        history_size=_HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    optimizer.step(closure)
    return objective().item(), optimizer.state[variables[0]]["n_iter"] < _MOST_ITERATIONS
