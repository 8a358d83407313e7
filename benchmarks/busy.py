"""Which part of the time a device computes, and how long it computes for a piece of work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

MICRO = 1e-6


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of spans (start, end): what runs side by side counts once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def device_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds for which any kernel of `work` runs; on a CPU, for which any operator does.

    Profiling slows the host down, not the kernels: hold the result against the time of an unprofiled run.
    """
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
        torch.cuda.synchronize(device)
    with profile(activities=activities) as profiler:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return MICRO * covered(spans_of(profiler.events() or (), device.type))


def spans_of(events: Iterable[Any], kind: str) -> Iterable[tuple[float, float]]:
    """Start and end in microseconds of what ran on a kind of device, `cuda` or `cpu`."""
    wanted = kind.upper()
    for event in events:
        # An annotation such as `Optimizer.step` spans the gaps between its kernels.
        if event.device_type.name == wanted and not getattr(event, "is_user_annotation", False):
            yield event.time_range.start, event.time_range.end
