"""Means of an epoch's losses, read from the device once an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cmae_ablate.components.networks import Term
from cmae_ablate.data.uploads import upload
from cmae_ablate.distributed import Ranks
from cmae_ablate.errors import DivergedError

Metrics = dict[str, float]


class Meter:
    """Sums of loss terms, on the device: read once an epoch, so that no step waits for another.

    Args:
        ranks: Over whose losses the mean is taken, each step: sums are then the same on all of them.
        device: Where losses are.
    """

    def __init__(self, ranks: Ranks, device: torch.device) -> None:
        self.ranks, self.device = ranks, device
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self.notes: Metrics = {}
        self.steps = 0

    def add(self, loss: Tensor, terms: Mapping[str, Term]) -> None:
        """Take the step's losses into the sums; waits for no device."""
        self.steps += 1
        values = {"loss": loss}
        for name, term in terms.items():
            values[name] = term.loss
            values.update({f"{name}.{key}": value for key, value in term.diagnostics.items()})
        # In one tensor: each name by itself would be a launch a step, and a wait an epoch.
        found = self.ranks.mean(torch.stack([value.detach().float() for value in values.values()]))
        assert self._sums is None or self._names == tuple(values), "the terms of a training do not change"
        self._names, self._sums = tuple(values), found if self._sums is None else self._sums + found

    def note(self, metrics: Mapping[str, float]) -> None:
        """Add numbers to the epoch's as they are."""
        self.notes.update(metrics)

    def flush(self, epoch: int) -> Metrics:
        """The epoch's means.

        Raises:
            DivergedError: One of them is not finite.
        """
        totals = [] if self._sums is None else self._sums.tolist()
        means = {name: total / self.steps for name, total in zip(self._names, totals, strict=True)}
        for name, value in means.items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name} is {value} in epoch {epoch + 1}; "
                    "lower training.base_lr or set training.grad_clip"
                )
        metrics = {**means, **self.notes}
        self._names, self._sums, self.notes, self.steps = (), None, {}, 0
        return metrics

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        sums = {} if self._sums is None else dict(zip(self._names, self._sums.clone(), strict=True))
        return {"sums": sums, "notes": dict(self.notes), "steps": self.steps}

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        sums: Mapping[str, Tensor] = state["sums"]
        self._names = tuple(sums)
        self._sums = upload(torch.stack(list(sums.values())), self.device) if sums else None
        self.notes, self.steps = dict(state["notes"]), state["steps"]
