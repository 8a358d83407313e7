"""An evaluation that trains for long goes on from its last whole epoch after an interruption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from cmae_ablate import checkpoint
from cmae_ablate.components.evaluation_protocols import EvaluationContext


class Stateful(Protocol):
    """A module or an optimiser."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object: ...


def keep_epoch(context: EvaluationContext, done: int, parts: Mapping[str, Stateful]) -> None:
    """Write a checkpoint after `done` epochs, where the context has a place for it."""
    if context.scratch is not None:
        state = {name: part.state_dict() for name, part in parts.items()}
        checkpoint.save(context.scratch, done, {**state, "epoch": done})


def epochs_done(context: EvaluationContext, parts: Mapping[str, Stateful]) -> int:
    """Put the parts into the state of the last whole epoch; every random stream must be an epoch's own.

    Returns:
        Epochs done, 0 where nothing is kept.
    """
    if context.scratch is None:
        return 0
    state = checkpoint.load_latest(context.scratch, context.warn)
    if state is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])
