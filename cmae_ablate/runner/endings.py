"""How an attempt at a cell can end, and what becomes then of everything that it held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch

from cmae_ablate.errors import (
    DivergedError,
    Interrupted,
    Pruned,
    RankError,
    StorageError,
    UserError,
    is_full,
)
from cmae_ablate.tracking.tracker import Status

FINAL = (UserError, DivergedError, torch.OutOfMemoryError)
"""What the settings and the machine decide, so that another attempt would end alike."""
Name = Literal[
    "finished",
    "pruned",
    "failed",
    "failed for good",
    "interrupted",
    "lease lost",
    "rank lost",
    "no room",
    "device lost",
    "storage away",
    "stopped at once",
    "killed",
]


@dataclass(frozen=True)
class Ending:
    """What becomes of what an attempt held.

    Attributes:
        lease: `complete`: the cell is done, with its result. `pruned`: done, without one. `failed`: the
            attempt counts. `failed for good`: and no other is made. `free`: the cell is free at once, and the
            attempt does not count. `another's`: nothing is told, another worker has it. `runs out`: nothing
            can be told; who asks next sees that the process is gone, and else the lease ends by itself.
        checkpoint: `gone`, for nothing of it is needed any more, or `kept`, for the next attempt.
        run: How the cell's MLflow run ends; None leaves it to the command that comes next.
        phase: The last note of progress; None leaves the one before.
        log: What the worker's log gets: nothing, the `reason`, or the whole `traceback`.
        worker: `goes on` with the next cell, `stops` for it was told to or cannot go on, or `raises`, which
            ends the command; or it `is gone`.
    """

    lease: Literal["complete", "pruned", "failed", "failed for good", "free", "another's", "runs out"]
    checkpoint: Literal["gone", "kept"]
    run: Status | None
    phase: str | None
    log: Literal["", "reason", "traceback"]
    worker: Literal["goes on", "stops", "raises", "is gone"]


ENDINGS: Mapping[Name, Ending] = MappingProxyType(
    {
        "finished": Ending("complete", "gone", "FINISHED", "complete", "", "goes on"),
        "pruned": Ending("pruned", "gone", "FINISHED", "pruned", "reason", "goes on"),
        "failed": Ending("failed", "kept", "FAILED", "failed", "traceback", "goes on"),
        "failed for good": Ending("failed for good", "kept", "FAILED", "failed", "traceback", "goes on"),
        "interrupted": Ending("free", "kept", "KILLED", "interrupted", "", "stops"),
        # Its run goes on in another worker, which tells of it.
        "lease lost": Ending("another's", "kept", None, None, "reason", "goes on"),
        # Killed, or its machine is gone: the cell is not to blame.
        "rank lost": Ending("free", "kept", "KILLED", "interrupted", "reason", "stops"),
        # No failure of its own, and any other cell would meet the same disk.
        "no room": Ending("free", "kept", "KILLED", "interrupted", "", "raises"),
        # CUDA's own error: each later call of the process repeats it, and another may do the cell.
        "device lost": Ending("failed", "kept", "FAILED", "failed", "traceback", "raises"),
        "storage away": Ending("runs out", "kept", None, None, "", "raises"),
        # A second signal in somebody's Python session, which goes on.
        "stopped at once": Ending("free", "kept", "KILLED", "interrupted", "", "raises"),
        # A second signal elsewhere, `kill -9` or no memory: nothing is left that could tell anybody.
        "killed": Ending("runs out", "kept", None, None, "", "is gone"),
    }
)


def ending_of(error: BaseException, *, has_lost_lease: bool, is_tuning: bool) -> Name | None:
    """The ending that an error brings about; None of one that is none of ours.

    Args:
        error: What an attempt raised.
        has_lost_lease: Whether another worker holds the cell by now.
        is_tuning: Whether the cell is a trial of a search: a rate too high is what a search finds out.
    """
    is_ours = isinstance(
        error, Exception | SystemExit
    )  # a component's own exit is no reason to end the study
    in_this_order: tuple[tuple[Name, bool], ...] = (
        ("stopped at once", isinstance(error, KeyboardInterrupt)),
        ("lease lost", isinstance(error, Interrupted) and has_lost_lease),
        ("interrupted", isinstance(error, Interrupted)),
        ("pruned", isinstance(error, Pruned) or (is_tuning and isinstance(error, DivergedError))),
        ("storage away", isinstance(error, StorageError)),
        ("rank lost", isinstance(error, RankError) and not error.reason),
        ("no room", is_full(error)),
        ("device lost", ruins_the_process(error)),
        ("failed for good", isinstance(error, FINAL)),
        ("failed", is_ours),
    )
    return next((name for name, is_so in in_this_order if is_so), None)


def ruins_the_process(error: BaseException | None) -> bool:
    """Whether an error, or whatever caused it, is CUDA's own: each later call of the process repeats it.

    Out of memory is none, though compilers and libraries may wrap either into errors of their own.
    """
    while error is not None:
        if isinstance(error, torch.AcceleratorError):
            return True
        error = error.__cause__ or error.__context__
    return False
