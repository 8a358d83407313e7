"""Out of memory: which batch would fit."""

from __future__ import annotations

from dataclasses import replace

import torch

from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.cost import measure


def out_of_memory(spec: TrialSpec, image_size: int, available: int, ranks: int = 1) -> str:
    """What to say, and to do, where a trial needs more than the device has.

    Args:
        spec: The trial.
        image_size: Side of the encoder's input in pixels.
        available: Bytes that the device has in all.
        ranks: Devices that share the batch.
    """
    part = spec.training.model_copy(update={"batch_size": spec.training.batch_size // ranks})
    fits = batch_that_fits(replace(spec, training=part), image_size, available) * ranks
    remedy = (
        f"by its estimate a batch of {fits} fits: set training.batch_size={fits}, for all variants alike"
        if fits
        else "by its estimate not even one image fits: choose a smaller backbone, or a larger device"
    )
    batch = spec.training.batch_size
    devices = "a device" if ranks == 1 else f"{ranks} devices"
    return f"out of memory: batch {batch} on {devices} of {available / 2**30:.1f} GiB; {remedy}"


def batch_that_fits(spec: TrialSpec, image_size: int, available: int) -> int:
    """The largest power of two whose estimated memory, a tenth kept free, is available; 0 where none is."""
    batch = spec.training.batch_size
    while batch & (batch - 1):
        batch &= batch - 1
    while batch:
        smaller = replace(spec, training=spec.training.model_copy(update={"batch_size": batch}))
        # Less than the batch that failed: the estimate knows nothing of the allocator's waste.
        if batch < spec.training.batch_size and measure(smaller, image_size).memory_bytes <= 0.9 * available:
            return batch
        batch //= 2
    return 0


def device_bytes(device: torch.device) -> int:
    """Memory of a GPU in all."""
    return int(torch.cuda.get_device_properties(device).total_memory)
