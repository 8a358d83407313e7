"""Crop, flip and normalise a batch: ours against PIL's JPEG decoder and torchvision, image by image."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from benchmarks.setting import Setting
from benchmarks.size import SIZES, TINY
from benchmarks.timing import Comparison, compare
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runtime import Runtime, stream
from cmae_ablate.study import design, loading
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import training_views
from cmae_ablate.training.model import assemble
from cmae_ablate.training.optimizer import adamw
from cmae_ablate.training.views import TrainingViews

STUDY = Path(__file__).parents[1] / "studies" / "cmae_vs_mae.yaml"
QUALITY = 90
BATCH = 32
ROUNDS = 3
"""Times those asked for: a round is short, and neighbours on the machine come and go."""
FEW = ["dataset.num_train=64", "dataset.num_validation=32", "dataset.num_test=32"]


def cpu_scale(quick: bool, *settings: str) -> tuple[dict[str, TrialSpec], DataArrays]:
    """The variants of the shipped study, with further settings, and their data."""
    study = loading.load(STUDY, settings=[*settings, *(FEW if quick else [])])
    specs = {variant.label: variant.spec for variant in design.variants(study)}
    return specs, specs["MAE"]["dataset"].prepare()


def run(setting: Setting) -> Iterator[Comparison]:
    """The augmentation against torchvision, and its share of the MAE step, at each size."""
    yield from _at("the cpu scale", setting, [], target=None)
    for size in TINY if setting.quick else SIZES:
        sizes = [*size.settings(), f"training.batch_size={BATCH}"]
        yield from _at(str(size), setting, sizes, target=100.0)


def _at(name: str, setting: Setting, settings: list[str], target: float | None) -> Iterator[Comparison]:
    specs, data = cpu_scale(setting.quick, *settings)
    spec = specs["MAE"]
    batches = training_views(spec, data, Runtime(setting.device))
    torchvision = per_sample(spec, data, batches.order(0)[: batches.batch_size])
    training = endless(batches)
    for _ in range(batches.steps):  # the first epoch also computes the taps of all later ones
        next(training)
    # A round times as many steps as are made ahead: what one of them costs in training.
    ahead = batches.steps_ahead(1)
    how = f"batch {batches.batch_size} of {data.image_size} pixels, {ahead} batches ahead"
    if target is None or data.image_size == SIZES[0].image:
        yield compare(
            f"crop, flip, normalise, {name}",
            lambda: next(training),
            torchvision,
            rounds=ROUNDS * setting.rounds,
            repeats=ahead,
            target=6.0,
            remark=f"{how}, against PIL and torchvision per sample",
        )
    found = compare(
        f"MAE steps that one batch of views costs, {name}",
        lambda: next(training),
        train_step(spec, data, setting.device),
        rounds=setting.rounds,
        repeats=ahead,
        target=target,
    )
    yield replace(found, remark=f"{how}; share of the step {1 / found.ratio:.2%}")


def endless(batches: TrainingViews) -> Iterator[list[torch.Tensor]]:
    """Single views of step after step, as training goes through them, epoch after epoch."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch, 0, 1)


def train_step(spec: TrialSpec, data: DataArrays, device: torch.device | None = None) -> Callable[..., None]:
    """A step of a trial, its optimiser included, on views given or on noise that is there already."""
    where = device or torch.device("cpu")
    runtime = Runtime(where, spec.training.precision)
    model = assemble(spec, data.image_size).to(where).train()
    optimiser = adamw(model, spec.training, where)
    shape = (spec.training.batch_size, 3, data.image_size, data.image_size)
    noise = [torch.randn(shape, device=where) for _ in range(model.num_views)]

    def step(views: list[torch.Tensor] | None = None) -> None:
        rngs = {name: stream(0, name) for name in spec.objectives}
        masks = [mask.to(where) for mask in model.sample_masks(shape[0], 0, 0, 0)]
        with runtime.autocast():
            loss = model.total(model(views or noise, masks, rngs))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        model.after_step(0.5)

    return step


def per_sample(spec: TrialSpec, data: DataArrays, indices: np.ndarray) -> Callable[[], torch.Tensor]:
    """MAE's augmentation as its code does it: PIL decodes, torchvision crops and flips, image by image."""
    jpegs = [_jpeg(data.train.images[index]) for index in indices]
    low, high = spec["crop"].options["scale"]
    augment = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                data.image_size, scale=(low, high), interpolation=transforms.InterpolationMode.BICUBIC
            ),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(data.mean, data.std),
        ]
    )
    return lambda: torch.stack([augment(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in jpegs])


def _jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, format="JPEG", quality=QUALITY)
    return buffer.getvalue()
