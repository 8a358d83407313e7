"""Means of an epoch's losses, read from the device once an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cmae_ablate.components.protocols import Term
from cmae_ablate.distributed import Ranks
from cmae_ablate.errors import DivergedError

Metrics = dict[str, float]


class Meter:
    """Sums of loss terms, on the device: read once an epoch, so that no step waits for another.

    Args:
        ranks: Over whose losses the mean is taken, each step: sums are then the same on all of them.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.sums: dict[str, Tensor] = {}
        self.notes: Metrics = {}
        self.steps = 0

    def add(self, loss: Tensor, terms: Mapping[str, Term]) -> None:
        """Take the step's losses into the sums; waits for no device."""
        self.steps += 1
        values = {"loss": loss}
        for name, term in terms.items():
            values[name] = term.loss
            values.update({f"{name}.{key}": value for key, value in term.diagnostics.items()})
        detached = [value.detach().float() for value in values.values()]
        if self.ranks.count > 1:
            detached = list(self.ranks.mean(torch.stack(detached)))
        for name, value in zip(values, detached, strict=True):
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def note(self, metrics: Mapping[str, float]) -> None:
        """Add numbers to the epoch's as they are."""
        self.notes.update(metrics)

    def flush(self, epoch: int) -> Metrics:
        """The epoch's means.

        Raises:
            DivergedError: One of them is not finite.
        """
        means = {name: float(total) / self.steps for name, total in self.sums.items()}
        for name, value in means.items():
            if not torch.isfinite(torch.tensor(value)):
                raise DivergedError(
                    f"{name} is {value} in epoch {epoch + 1}; "
                    "lower training.base_lr or set training.grad_clip"
                )
        metrics = {**means, **self.notes}
        self.sums, self.notes, self.steps = {}, {}, 0
        return metrics

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        return {"sums": dict(self.sums), "notes": dict(self.notes), "steps": self.steps}

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.sums, self.notes, self.steps = dict(state["sums"]), dict(state["notes"]), state["steps"]
