"""When a training's state is kept: by the clock, and written in the background while it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map_only

from cmae_ablate import checkpoint

KEEP_SECONDS = 60.0
"""The most of a training that a crash may cost. On a GPU, writing takes as long as several epochs of it."""


class StateKeeper:
    """Writes checkpoints of a training, one at a time, in a thread of its own.

    As a context manager it ends with the last write done.

    Args:
        folder: The training's own.

    Attributes:
        has_kept: Whether anything was kept since this keeper is there.
    """

    def __init__(self, folder: Path) -> None:
        self.has_kept = False
        self._folder = folder
        self._last = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[Path] | None = None

    @property
    def is_due(self) -> bool:
        """Whether a crash would now cost more than it may."""
        return time.monotonic() - self._last >= KEEP_SECONDS

    def keep(self, step: int, state: Mapping[str, Any]) -> None:
        """Copy the state, and let it be written while the training changes it.

        Args:
            step: Optimiser steps done.
            state: As `checkpoint.save` wants it; tensors on any device.

        Raises:
            OSError: The write before failed; or RuntimeError, where torch says so.
        """
        self.finish()
        copied = tree_map_only(Tensor, lambda tensor: tensor.detach().to("cpu", copy=True), dict(state))
        self._pending = self._thread.submit(checkpoint.save, self._folder, step, copied)
        self.has_kept, self._last = True, time.monotonic()

    def finish(self) -> None:
        """Wait until what is being written is on the disk; raises as `keep`."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> StateKeeper:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self.finish()
