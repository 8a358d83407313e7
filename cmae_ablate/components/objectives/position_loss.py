"""Loss and accuracy of predicted patch positions."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

PositionLoss = Literal["cross_entropy", "l2", "mse"]


def position_loss(scores: Tensor, positions: Tensor, loss: PositionLoss) -> tuple[Tensor, Tensor]:
    """How wrong predicted positions are.

    Args:
        scores: One score per position, (T, N).
        positions: True positions in [0, N), (T,), int64.
        loss: `cross_entropy`, or `l2`, the squared distance of the scores to the one-hot position,
            summed over positions: 1 for scores of zero, whatever N; or `mse`, the same averaged over
            positions, 1/N of `l2`.

    Returns:
        The mean loss over the T tokens, a scalar, and the part of tokens whose position has the
        highest score, a detached scalar.
    """
    scores = scores.float()
    accuracy = (scores.detach().argmax(dim=1) == positions).float().mean()
    if loss == "cross_entropy":
        return functional.cross_entropy(scores, positions), accuracy
    wanted = functional.one_hot(positions, scores.shape[1]).float()
    distances = (scores - wanted).square()
    return (distances.sum(dim=1).mean() if loss == "l2" else distances.mean()), accuracy
