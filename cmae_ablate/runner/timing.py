"""How fast this machine is at a study's own work: a few steps and passes on noise, timed.

FLOPs alone predict hours badly: a small model reaches a third or two thirds of what large matrix products do,
depending on its shape. So each kind of step is timed for a moment; nothing is trained, no data are read.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.protocols import LooksAgain
from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.runner.hours import Speed, Workload
from cmae_ablate.runner.step_timer import Sample, StepTime, clock, time_steps
from cmae_ablate.runtime import Runtime, set_precision, set_threads
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.flops import ATTAINED
from cmae_ablate.training.model import build_encoder
from cmae_ablate.training.views import crop_to_ask

SECONDS = 2.0
"""About what all timings of a study take together."""
WARM_STEPS, FEWEST_STEPS, TIMED_STEPS = 2, 3, 8
LONGEST = 4.0
"""Seconds that the fewest steps of one variant may take; a batch that needs more is cut."""
ENCODED, PASSES = 64, 2
BACKGROUND_SECONDS = 60.0


def time_kinds(
    chosen: Sequence[Workload], matmul: float, runtime: Runtime, workers: int
) -> dict[Hashable, Speed]:
    """The speed of each kind of work, while `workers` processes work side by side.

    Args:
        chosen: One workload of each kind.
        matmul: FLOP/s of a large matrix product.
        runtime: Where cells will run; precision and compilation are each workload's own.
        workers: Processes that train at once; they share caches and memory, and slow each other down.
    """
    allowed = SECONDS / len(chosen)
    found: dict[Hashable, Speed] = {}
    # What is compiled runs on a GPU of its own; and nobody waits for several compilations at once.
    company = 0 if any(each.spec.training.compile for each in chosen) else workers - 1
    with _background_load(company, lambda: _time(chosen[-1], matmul, runtime, SECONDS)):
        for workload in chosen:
            found[workload.kind] = _time(workload, matmul, runtime, allowed)
    return found


def _time(workload: Workload, matmul: float, runtime: Runtime, allowed: float) -> Speed:
    spec, cost = workload.spec, workload.cost
    assumed = ATTAINED * matmul
    steps = WARM_STEPS + FEWEST_STEPS
    fitting = int(LONGEST * assumed / (max(cost.flops_image, cost.flops_encode) * steps))
    if fitting < 2:  # a batch of one has no negatives and no variance
        return Speed(assumed, assumed, measured=False)
    if runtime.device.type == "cpu":
        set_threads(spec.training.threads)
    told = replace(runtime, precision=spec.training.precision, compile=spec.training.compile)
    set_precision(told)
    encoding = cost.flops_encode / _encode_seconds(workload, min(ENCODED, fitting), told)
    if spec.is_pretrained:
        return Speed(encoding, encoding, measured=True)
    batch = min(spec.training.batch_size, fitting)
    step = _step_time(spec, batch, workload, told, allowed)
    return Speed(cost.flops_image * batch / step.seconds, encoding, measured=True, compiling=step.compiling)


def _encode_seconds(workload: Workload, count: int, runtime: Runtime) -> float:
    """Seconds of encoding one whole image."""
    encoder = build_encoder(workload.spec, workload.image_size).to(runtime.device).eval()
    data = _noise(workload, count)
    times = []
    for _ in range(PASSES + 1):
        start = clock(workload.spec, runtime)
        FrozenFeatures(encoder, data, runtime).get("test", "mean")
        times.append(clock(workload.spec, runtime) - start)
    return statistics.median(times[1:]) / count


def _step_time(spec: TrialSpec, batch: int, workload: Workload, runtime: Runtime, allowed: float) -> StepTime:
    """A step on noise, at a batch that may be smaller than the trial's."""
    sample = Sample(WARM_STEPS, FEWEST_STEPS, TIMED_STEPS, seconds=allowed)
    short = replace(spec, training=spec.training.model_copy(update={"batch_size": batch}))
    data = _noise(workload, batch * (WARM_STEPS + TIMED_STEPS + 2))
    return time_steps(short, data, runtime, workload.cost.num_views, sample)


def _noise(workload: Workload, count: int) -> DataArrays:
    """`count` times one image of noise, in the memory of one."""
    side, rng = workload.size.image_size, np.random.default_rng(0)
    images = np.broadcast_to(rng.integers(0, 256, (3, side, side), np.uint8), (count, 3, side, side))
    # A strategy that looks at the images would also measure itself against known boxes.
    looks = isinstance(crop_to_ask(workload.spec["crop"]), LooksAgain)
    boxes = np.tile(np.array([0, 0, 1, 1], np.float32) * (np.nan if looks else 1), (count, 1))
    split = Split(images, np.zeros(count, np.int64), boxes)
    half = (0.5, 0.5, 0.5)
    return DataArrays("noise", ("noise",), "noise", half, half, (), split, split, split)


@contextmanager
def _background_load(count: int, work: Callable[[], object]) -> Iterator[None]:
    """Let `count` more processes repeat the work, as further workers would, until the block ends."""
    children = []
    for _ in range(count if hasattr(os, "fork") else 0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
            child = os.fork()
        if child == 0:
            _repeat(work)
        children.append(child)
    try:
        yield
    finally:
        # A child that hangs on a lock that some thread held is no harm: it is killed like the others.
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _repeat(work: Callable[[], object]) -> None:
    """In a child: work until killed, the parent is gone, or a minute has passed; never return."""
    parent, end = os.getppid(), time.monotonic() + BACKGROUND_SECONDS
    try:
        while os.getppid() == parent and time.monotonic() < end:
            work()
    finally:
        os._exit(0)
