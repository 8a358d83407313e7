"""What a process loads once, at its first training, is there before the memory of any cell is watched."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.distributed import Ranks
from cmae_ablate.errors import Interrupted
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks, pretrain

WARM: set[str] = set()
"""Kinds of device on which this process has taken its step."""


def warm_up(spec: TrialSpec, data: DataArrays, runtime: Runtime) -> None:
    """Train the trial for one step and write one checkpoint, once a process; nothing of it stays.

    Modules imported late, buffers of the matrix products and of the thread that writes checkpoints would
    else be counted as memory of a worker's first cell, which is mostly the reference. On a GPU, where
    tensors alone are counted, nothing is done.

    Args:
        spec: The trial whose memory is watched next; its streams are named, so that none of them moves on.
        data: Its prepared data.
        runtime: Where it will be trained; of several ranks this one takes a step of its own share alone.
    """
    device = runtime.device.type
    if device != "cpu" or device in WARM:
        return
    WARM.add(device)
    share = max(1, spec.training.batch_size // runtime.ranks.count)
    training = spec.training.model_copy(update={"batch_size": share})
    own = replace(spec.without_first_look(), training=training)
    steps: list[int] = []
    hooks = Hooks(
        on_step=lambda done, total: steps.append(done),
        should_stop=lambda: bool(steps),
        warn=lambda text: None,  # the training itself says it
    )
    alone = replace(runtime, compile=False, ranks=Ranks())
    # A disk without room for this is found by the training itself, whose folder is elsewhere.
    with suppress(Interrupted, OSError), TemporaryDirectory(prefix="cmae-ablate-") as folder:
        pretrain(own, data, alone, Path(folder), hooks)
