"""How long a training step takes, its views included: one timer for what `plan` says and for equal time.

Views are made several steps ahead of training: between two steps lies the work for several of them or none,
and no typical step holds its share. So steps and views are timed apart, and added.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import Interrupted
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks, pretrain, training_views
from cmae_ablate.training.views import steps_per_epoch


@dataclass(frozen=True)
class Sample:
    """How much is timed.

    Attributes:
        warm: Steps that come first and do not count: they warm caches up.
        fewest: Steps that count, however long they take.
        most: Steps that count where they take less than `seconds`.
        rows: How often views are made, those of as many steps in a row as in training.
        seconds: How long all steps but the first may take before the fewest suffice.
    """

    warm: int
    fewest: int
    most: int
    rows: int = 1
    seconds: float = math.inf


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step with its views; and of the compilation before the first, 0 where none is compiled."""

    seconds: float
    compiling: float


def time_steps(
    spec: TrialSpec, data: DataArrays, runtime: Runtime, num_views: int, sample: Sample
) -> StepTime:
    """Time a training that ends early, and the making of its views.

    On a GPU, which may compute the one while the CPU prepares the other, a step takes the sum at most.

    Args:
        spec: The trial.
        data: Its images, or some of their size.
        runtime: Where to measure; threads, precision and compilation are set as the trial has them.
        num_views: Of each image, as the trial's model needs them.
        sample: How much to time.

    Raises:
        UserError: The trial cannot run.
    """
    short = spec.without_first_look()  # which is no part of a step
    times = _steps(short, data, runtime, sample)
    step = statistics.median(times[sample.warm :])
    compiling = max(0.0, times[0] - step) if runtime.compile else 0.0
    return StepTime(step + _views(short, data, runtime, num_views, sample.rows), compiling)


def clock(spec: TrialSpec, runtime: Runtime) -> float:
    """Seconds from some moment, with all work until now done.

    One thread is timed by the time that it computes, so that what else the machine does has no part in it;
    several wait for each other, a GPU computes apart, and compilers are processes of their own.
    """
    if runtime.device.type == "cuda":
        torch.cuda.synchronize(runtime.device)
    elif spec.training.threads == 1 and not runtime.compile:
        return time.thread_time()
    return time.perf_counter()


def _steps(spec: TrialSpec, data: DataArrays, runtime: Runtime, sample: Sample) -> list[float]:
    """Seconds of each step, from when its views are there: an epoch's end lies between two."""
    times: list[float] = []
    started = 0.0

    def on_step(done: int, total: int) -> None:
        times.append(clock(spec, runtime) - started)

    def enough() -> bool:
        nonlocal started
        started = clock(spec, runtime)
        late = len(times) >= sample.warm + sample.fewest and sum(times[1:]) > sample.seconds
        return late or len(times) >= sample.warm + sample.most

    # One more, so that the training is stopped rather than done.
    epochs = (sample.warm + sample.most) // steps_per_epoch(len(data.train), spec.training.batch_size) + 1
    training = spec.training.model_copy(update={"epochs": max(spec.training.epochs, epochs)})
    with TemporaryDirectory(prefix="cmae-ablate-") as folder, suppress(Interrupted):
        hooks = Hooks(on_step=on_step, should_stop=enough)
        pretrain(replace(spec, training=training), data, runtime, Path(folder), hooks)
    return times


def _views(spec: TrialSpec, data: DataArrays, runtime: Runtime, num_views: int, rows: int) -> float:
    """Median seconds of one step's views, made in rows as in training."""
    batches = training_views(spec, data, runtime)
    ahead = batches.steps_ahead(num_views)
    lengths = [min(ahead, batches.steps - first) for first in range(0, batches.steps, ahead)]
    views = itertools.chain.from_iterable(batches.epoch(epoch, 0, num_views) for epoch in range(rows))
    times = []
    for length in itertools.islice(itertools.cycle(lengths), rows):
        start = clock(spec, runtime)
        made = list(itertools.islice(views, length))
        times.append((clock(spec, runtime) - start) / len(made))
    return statistics.median(times)
