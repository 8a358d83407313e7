"""CUDA graphs: trainings by torch.compile's mode that replays a step's launches, against its default mode.

By default the host launches a compiled step's kernels one by one; a graph is launched at once, but its
outputs lie where its next run overwrites them. What is kept or changed between two steps, such as a momentum
encoder's weights, must bear that: so losses are compared, too, and whatever is raised is a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from unittest import mock

import torch

from benchmarks.page import reason
from benchmarks.throughput import Found, noise, train, variants
from benchmarks.timing import Comparison
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.study.trial_spec import TrialSpec

MODE = "reduce-overhead"
SAME = 1e-2
"""A loss by graphs against the default mode's, relative: on a GPU sums have no fixed order."""


def run(scale: str, side: int, steps: int, device: torch.device, settings: list[str]) -> Iterator[Comparison]:
    """MAE and CMAE at a scale that compiles.

    Args:
        scale: By name.
        side: Of the stored images, in pixels.
        steps: An epoch.
        device: Where.
        settings: Further ones, `--set` texts.
    """
    specs = variants(scale, settings)
    for label in ("MAE", "CMAE"):
        spec = specs[label]
        assert spec.training.compile, f"{scale}: nothing is compiled"
        data = noise(side, steps * spec.training.batch_size)
        title = f"{label} training at the {scale} scale by CUDA graphs"
        try:
            yield from _compared(title, spec, data, device)
        except Exception as error:
            yield Comparison.once(title, 0.0, target=1.0, remark=f"failed: {reason(error)}")


def _compared(title: str, spec: TrialSpec, data: DataArrays, device: torch.device) -> Iterator[Comparison]:
    plain = train(spec, data, device)
    with mock.patch.object(torch, "compile", partial(torch.compile, mode=MODE)):
        graphs = train(spec, data, device)
    batch = spec.training.batch_size
    ratio = graphs.images_per_second / plain.images_per_second
    seconds = batch / graphs.images_per_second, batch / plain.images_per_second
    remark = (
        f"{graphs.images_per_second:,.0f} against {plain.images_per_second:,.0f} images/s, batch {batch}, "
        f"{spec.training.precision}; the device computes {graphs.busy:.0%} against {plain.busy:.0%} of the "
        f"time; first epoch {graphs.first_seconds:.0f} against {plain.first_seconds:.0f} s"
    )
    yield Comparison(f"{title}, against compiled without", ratio, ratio, ratio, *seconds, 1, remark=remark)
    differences = _differences(graphs, plain)
    yield Comparison.once(
        f"{title}, losses as without",
        float(max(differences) < SAME),
        target=1.0,
        remark=f"relative difference {differences[0]:.1e} in the first epoch, at most {max(differences):.1e} "
        f"in {len(differences)}",
    )


def _differences(graphs: Found, plain: Found) -> list[float]:
    """Of each epoch's loss, relative."""
    pairs = zip(graphs.losses, plain.losses, strict=True)
    return [abs(own - reference) / abs(reference) for own, reference in pairs]
