"""Crop, flip and normalise a batch: ours against PIL's JPEG decoder and torchvision, image by image."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from benchmarks.timing import Comparison, compare
from cmae_ablate import design, study_file
from cmae_ablate.arrays import DataArrays, prepare
from cmae_ablate.data import TrainingViews
from cmae_ablate.model import assemble
from cmae_ablate.optim import adamw
from cmae_ablate.runtime import stream
from cmae_ablate.spec import TrialSpec

STUDY = Path(__file__).parents[1] / "studies" / "cmae_vs_mae.yaml"
QUALITY = 90


def cpu_scale(quick: bool) -> tuple[dict[str, TrialSpec], DataArrays]:
    """The variants of the shipped study, and their data."""
    few = ["dataset.num_train=64", "dataset.num_validation=32", "dataset.num_test=32"] if quick else []
    study = study_file.load(STUDY, settings=few)
    specs = {variant.label: variant.spec for variant in design.variants(study)}
    return specs, prepare(specs["MAE"]["dataset"].build())


def views_of(spec: TrialSpec, data: DataArrays) -> TrainingViews:
    """The batches of a trial."""
    boxes = torch.from_numpy(data.train.boxes.copy())
    return TrainingViews(
        data,
        spec["crop"].build(len(data.train), boxes),
        spec["augmentation"].build(),
        data.image_size,
        spec.training.batch_size,
        0,
        torch.device("cpu"),
    )


def run(rounds: int, quick: bool) -> Iterator[Comparison]:
    """The augmentation against torchvision, then its share of the MAE step."""
    specs, data = cpu_scale(quick)
    spec = specs["MAE"]
    batches = views_of(spec, data)
    indices = batches.order(0)[: batches.batch_size]
    torchvision = per_sample(spec, data, indices)

    def own() -> list[torch.Tensor]:
        return batches.views(indices, 0, 0, 1)

    yield compare(
        "crop, flip, normalise",
        own,
        torchvision,
        rounds=rounds,
        repeats=10,
        target=6.0,
        remark=f"batch {len(indices)} of {data.image_size} pixels against PIL and torchvision per sample",
    )
    yield compare(
        "crop, flip, normalise: MAE steps that one batch of views costs",
        own,
        train_step(spec, data),
        rounds=rounds,
        repeats=5,
        target=100.0,
        remark="the share of the step is the inverse: 1 % is 100",
    )


def train_step(spec: TrialSpec, data: DataArrays) -> Callable[..., None]:
    """A step of a trial, its optimiser included, on views given or on noise that is there already."""
    model = assemble(spec, data.image_size).train()
    optimiser = adamw(model, spec.training, torch.device("cpu"))
    shape = (spec.training.batch_size, 3, data.image_size, data.image_size)
    noise = [torch.randn(shape) for _ in range(model.num_views)]

    def step(views: list[torch.Tensor] | None = None) -> None:
        rngs = {name: stream(0, name) for name in spec.objectives}
        loss = model.total(model(views or noise, model.sample_masks(shape[0], 0, 0, 0), rngs))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
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
