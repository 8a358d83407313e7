"""Training views for supervised evaluations: random resized crop and flip of a batch, on the device."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cmae_ablate.components.crop_sampling import RATIO, anywhere, crop_sizes, draw
from cmae_ablate.components.evaluation_protocols import EvaluationContext
from cmae_ablate.data.images import normalise_, take, to_unit
from cmae_ablate.data.resize import crop_resize
from cmae_ablate.data.uploads import upload
from cmae_ablate.runtime import seeded, stream, stream_seed

SCALE = (0.08, 1.0)
"""Areas of crops in supervised training, torchvision's; pretraining has a range of its own."""


@dataclass(frozen=True)
class AugmentedTrain:
    """The training images as shuffled batches of augmented views.

    Attributes:
        context: Data, device and seed.
        image_size: Side of the views in pixels.
        batch_size: Images a batch; an incomplete last batch is dropped.
        name: Of the random streams: two evaluations of one cell draw independently.
    """

    context: EvaluationContext
    image_size: int
    batch_size: int
    name: str

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.context.data.train) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised views (B, C, S, S) and labels (B,) of every batch, on the device."""
        data, device, seed = self.context.data, self.context.runtime.device, self.context.seed
        order = torch.randperm(len(data.train), generator=stream(seed, self.name, "order", epoch)).numpy()
        for step in range(self.steps):
            indices = order[step * self.batch_size : (step + 1) * self.batch_size]
            rng = stream(seed, self.name, "augmentation", epoch, step)
            views = random_views(take(data.train, indices, device), self.image_size, rng)
            labels = upload(torch.from_numpy(data.train.labels[indices]), device)
            yield normalise_(views, data.mean, data.std), labels


def random_views(images: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """A random resized crop of each image, half of them mirrored.

    Args:
        images: Bytes, (B, C, H, W).
        size: Side of the views in pixels.
        rng: CPU generator.

    Returns:
        In [0, 1], (B, C, size, size), on the device of the images.
    """
    height, width = images.shape[2:]
    draws = draw(len(images), rng)
    crops = anywhere(height, width, crop_sizes(height, width, SCALE, RATIO, draws), draws.places)
    mirrored = upload(torch.rand(len(images), generator=rng) < 0.5, images.device).reshape(-1, 1, 1, 1)
    views = crop_resize(to_unit(images), upload(crops, images.device), size).clamp_(0.0, 1.0)
    return torch.where(mirrored, views.flip(3), views)


def even_batch_size(wish: int, num_train: int) -> int:
    """The batch size that the training images allow: mixup pairs images, so it is even."""
    size = min(wish, num_train)
    return max(2, size - size % 2)


@contextmanager
def global_streams(seed: int, *name: object) -> Iterator[None]:
    """Let the global generators of Python, numpy and torch be the named stream inside the block.

    timm's mixup and random erasing draw from them. They are as they were after the block.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    value = stream_seed(seed, *name)
    random.seed(value)
    np.random.seed(value % 2**32)
    try:
        with seeded(seed, *name):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
