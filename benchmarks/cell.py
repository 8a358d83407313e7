"""A whole MAE cell, pretraining and probe, against the same work done with the reference's means."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from benchmarks.probe import EPOCHS, forward_again
from benchmarks.reference import Reference, plain_adamw, references
from benchmarks.setting import Setting
from benchmarks.size import Size
from benchmarks.timing import Comparison, in_turns
from benchmarks.views import cpu_scale, endless, per_sample, train_step
from cmae_ablate.components.evaluation_protocols import EvaluationContext
from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.evaluations.linear_probe import LinearProbe
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import training_views
from cmae_ablate.training.model import assemble

STEPS = 20
"""Of each training that a round times; the cell's own count is got by multiplying."""
FEW = 1600
"""Images of which a round encodes again; the 90 epochs are got by multiplying."""


def run(setting: Setting) -> Iterator[Comparison]:
    """Four parts are timed in turns; each round gives one ratio of the two sums."""
    rounds, quick = setting.rounds, setting.quick
    specs, data = cpu_scale(quick)
    spec = specs["MAE"]
    encoder = assemble(spec, data.image_size).eval().encoder
    few = min(FEW, len(data.train))
    theirs = references(_size(spec, data), setting.official)[0]

    def probe() -> None:
        features = FrozenFeatures(encoder, data, Runtime())
        LinearProbe()(EvaluationContext(encoder, features, data, Runtime(), 0))

    def held_out() -> None:
        features = FrozenFeatures(encoder, data, Runtime())
        for split in ("validation", "test"):
            features.get(split, "mean")

    steps = spec.training.epochs * (len(data.train) // spec.training.batch_size)
    parts = {
        own_steps(spec, data): steps / STEPS,
        probe: 1.0,
        reference_steps(spec, data, theirs): -steps / STEPS,
        forward_again(encoder, data, few): -EPOCHS * len(data.train) / few,
        held_out: -1.0,
    }
    seconds = in_turns(list(parts), rounds=rounds)
    weights = list(parts.values())
    own = sum(times * weight for times, weight in zip(seconds, weights, strict=True) if weight > 0)
    reference = -sum(times * weight for times, weight in zip(seconds, weights, strict=True) if weight < 0)
    yield Comparison.of(
        f"MAE cell whole: {spec.training.epochs} epochs and a {EPOCHS}-epoch probe",
        own,
        reference,
        target=3.0,
        remark=f"reference: {theirs.name}; {STEPS} steps and {few} images re-encoded a round, "
        "multiplied; reference views by PIL",
    )


def own_steps(spec: TrialSpec, data: DataArrays) -> Callable[[], None]:
    """Views and training steps as a cell makes them."""
    training, step = endless(training_views(spec, data, Runtime())), train_step(spec, data)

    def steps() -> None:
        for _ in range(STEPS):
            step(next(training))

    return steps


def reference_steps(spec: TrialSpec, data: DataArrays, theirs: Reference) -> Callable[[], None]:
    """The reference's step with torch's default AdamW, on images that PIL and torchvision made one by one."""
    optimiser = plain_adamw(theirs.module)
    views = per_sample(spec, data, training_views(spec, data, Runtime()).order(0)[: spec.training.batch_size])
    patches = _size(spec, data).num_patches

    def steps() -> None:
        for _ in range(STEPS):
            images = views()
            loss = theirs.loss(images, torch.rand(len(images), patches))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    return steps


def _size(spec: TrialSpec, data: DataArrays) -> Size:
    backbone, decoder = spec["backbone"].options, spec["decoder"].options
    encoder = (backbone["dim"], backbone["depth"], backbone["heads"], backbone["patch"], data.image_size)
    return Size(*encoder, decoder["dim"], decoder["depth"], decoder["heads"])
