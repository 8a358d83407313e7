"""Images a second of whole trainings, the device's share of the time, and CMAE against its FLOPs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.busy import MICRO, covered, spans_of
from benchmarks.timing import Comparison
from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.runtime import Runtime
from cmae_ablate.study import design, loading
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.cost import measure
from cmae_ablate.training.loop import Hooks, Metrics, image_size_of, pretrain

STUDY = Path(__file__).parents[1] / "studies" / "cmae_vs_mae.yaml"
EPOCHS = 6
PROFILED = 2
"""Epochs at the end that are profiled, and timed no more."""
BUSY, AS_PREDICTED = 0.85, 1 / 1.25
"""What is asked for: the device's share of the time, and CMAE's speed over what its FLOPs predict."""


@dataclass(frozen=True)
class Found:
    """Of a training.

    Attributes:
        images_per_second: Of whole steps: views, masks, both passes, optimiser.
        busy: Share of the time in which the device computes.
        first_seconds: Of the first epoch, compilation included.
        losses: Of each epoch.
    """

    images_per_second: float
    busy: float
    first_seconds: float
    losses: tuple[float, ...]


def variants(scale: str, settings: list[str]) -> dict[str, TrialSpec]:
    """Those of the shipped study, as they train at a scale, for few epochs."""
    few = [f"training.epochs={EPOCHS}", "training.warmup_epochs=1"]
    study = loading.load(STUDY, scale=scale, settings=[*few, *settings])
    return {variant.label: variant.spec for variant in design.variants(study)}


def noise(side: int, count: int) -> DataArrays:
    """Images of a size with random bytes: what is in them takes no time."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    split = Split(images, np.zeros(count, np.int64), np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1)))
    half = (0.5, 0.5, 0.5)
    return DataArrays("noise", ("any",), "noise", half, half, (), split, split, split)


def train(spec: TrialSpec, data: DataArrays, device: torch.device) -> Found:
    """Train for `EPOCHS` epochs by the loop that cells train by."""
    ends, losses = [time.perf_counter()], []
    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    profiler = profile(activities=kinds)

    def on_epoch(done: int, metrics: Metrics) -> None:
        # The epoch's losses were read, so everything before is done.
        ends.append(time.perf_counter())
        losses.append(metrics["loss"])
        if done == EPOCHS - PROFILED:
            profiling.enter_context(profiler)
        if done == EPOCHS:
            profiling.close()

    runtime = Runtime(device, spec.training.precision, spec.training.compile)
    # A training that fails is profiled no more: the next one's profiler could not start.
    with TemporaryDirectory() as folder, ExitStack() as profiling:
        pretrain(spec, data, runtime, Path(folder), Hooks(on_epoch))
    seconds = np.diff(ends)
    of_epoch = float(np.median(seconds[1 : EPOCHS - PROFILED]))
    images = spec.training.batch_size * (len(data.train) // spec.training.batch_size)
    computing = MICRO * covered(spans_of(profiler.events() or (), device.type)) / PROFILED
    # Profiling slows the host down, not the device: its time is held against unprofiled epochs.
    return Found(images / of_epoch, min(1.0, computing / of_epoch), float(seconds[0]), tuple(losses))


def run(scale: str, side: int, steps: int, device: torch.device, settings: list[str]) -> Iterator[Comparison]:
    """MAE and CMAE at a scale.

    Args:
        scale: By name.
        side: Of the stored images, in pixels.
        steps: An epoch.
        device: Where.
        settings: Further ones, `--set` texts.
    """
    specs = variants(scale, settings)
    found: dict[str, Found] = {}
    for label in ("MAE", "CMAE"):
        spec = specs[label]
        data = noise(side, steps * spec.training.batch_size)
        found[label] = train(spec, data, device)
        yield Comparison.once(
            f"{label} training at the {scale} scale, share of the time that the device computes",
            found[label].busy,
            target=BUSY if device.type == "cuda" else None,
            remark=f"{found[label].images_per_second:,.0f} images/s, batch {spec.training.batch_size}, "
            f"{spec.training.precision}; first epoch {found[label].first_seconds:.0f} s",
        )
    flops = {label: measure(specs[label], image_size_of(specs[label], data)).flops_image for label in found}
    predicted = flops["CMAE"] / flops["MAE"]
    slower = found["MAE"].images_per_second / found["CMAE"].images_per_second
    yield Comparison.once(
        f"CMAE training at the {scale} scale, as fast as its FLOPs predict from MAE's",
        predicted / slower,
        target=AS_PREDICTED if device.type == "cuda" else None,
        remark=f"{slower:.2f} times MAE's time, {predicted:.2f} times its FLOPs",
    )
