"""Batches of augmented views from prepared arrays: no decode, no per-sample Python, no state to resume."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cmae_ablate.components.protocols import Augmentation, CropStrategy
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.data.images import normalise_, take, to_unit
from cmae_ablate.data.resize import crop_resize
from cmae_ablate.data.uploads import upload
from cmae_ablate.distributed import Ranks
from cmae_ablate.runtime import stream
from cmae_ablate.study.choice import Choice

FLOAT_BYTES = 4


AHEAD_BYTES = 16 * 2**20
"""The most that the images of steps whose views are made ahead of training may take."""


AT_ONCE_BYTES = 3 * 2**20
"""The most that those may take whose views are made at once: more would not stay in the caches."""


def _parts(steps: range, length: int) -> Iterator[range]:
    return (steps[start : start + length] for start in range(0, len(steps), length))


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Training steps of an epoch: the last images, which fill no batch, are left out."""
    return max(1, num_images // batch_size)


def crop_to_ask(choice: Choice) -> CropStrategy:
    """A crop strategy with its options and no data set: to ask when it looks and what its heat map is."""
    # One image that is all object: strategies may refuse a data set without any known box.
    crop: CropStrategy = choice.build(1, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    return crop


@dataclass(frozen=True)
class TrainingViews:
    """The training images of one cell as batches of views.

    Every number comes from a stream named by (slot, epoch, step, view), drawn for the whole batch,
    so any step can be made again from its epoch and step alone; a rank cuts out and keeps its share.
    """

    data: DataArrays
    crop: CropStrategy
    augmentation: Augmentation
    image_size: int
    batch_size: int
    seed: int
    device: torch.device
    ranks: Ranks = field(default_factory=Ranks)

    @property
    def steps(self) -> int:
        """Steps an epoch; an incomplete last batch is dropped, as in MAE."""
        return steps_per_epoch(len(self.data.train.labels), self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Image indices in the order of the epoch, (n,)."""
        count = len(self.data.train.labels)
        return torch.randperm(count, generator=stream(self.seed, "order", epoch)).numpy()

    @property
    def images_per_step(self) -> int:
        """Of all ranks together: the batch size, or all images where they are fewer."""
        return min(self.batch_size, len(self.data.train.labels))

    def epoch(self, epoch: int, first: int, num_views: int) -> Iterator[list[Tensor]]:
        """The views of each step of the epoch from step `first` on, as `views` gives them.

        Those of small batches are made some steps ahead: a training step leaves nothing of this code in
        the caches, and fetching it again would cost more than the cutting.
        """
        order, at_once = self.order(epoch), self.steps_within(AT_ONCE_BYTES, num_views)
        for steps in _parts(range(first, self.steps), self.steps_ahead(num_views)):
            parts = [self.views(order, epoch, part, num_views) for part in _parts(steps, at_once)]
            yield from itertools.chain.from_iterable(parts)

    def steps_ahead(self, num_views: int) -> int:
        """Steps whose views are made in a row."""
        return min(self.steps, self.steps_within(AHEAD_BYTES, num_views))

    def steps_within(self, most: int, num_views: int) -> int:
        """Steps whose images, as they were and as views, take at most so many bytes; at least 1."""
        images = self.images_per_step // self.ranks.count
        channels, height, width = self.data.train.images.shape[1:]
        pixels = height * width + num_views * self.image_size**2
        return max(1, int(most // (images * channels * pixels * FLOAT_BYTES)))

    def views(self, order: np.ndarray, epoch: int, steps: range, num_views: int) -> list[list[Tensor]]:
        """For each of some steps, normalised views of this rank's share, each (b, C, S, S).

        Args:
            order: As `order(epoch)` gives it.
            epoch: Counted from 0.
            steps: Of the epoch.
            num_views: Of each image.
        """
        batches = [order[step * self.batch_size :][: self.images_per_step] for step in steps]
        own = np.concatenate([indices[self.ranks.share(len(indices))] for indices in batches])
        source = to_unit(take(self.data.train, own, self.device))
        views = [self._view(source, batches, epoch, steps, view) for view in range(num_views)]
        return [list(of_step) for of_step in zip(*views, strict=True)]

    def _view(
        self, source: Tensor, batches: list[np.ndarray], epoch: int, steps: range, view: int
    ) -> list[Tensor]:
        def rng(slot: str, step: int) -> torch.Generator:
            return stream(self.seed, slot, epoch, step, view)

        height, width = source.shape[2:]
        crops = [
            self.crop.sample(torch.from_numpy(indices), height, width, rng("crop", step), view)
            for indices, step in zip(batches, steps, strict=True)
        ]
        own = torch.cat([crop[self.ranks.share(len(crop))] for crop in crops])
        cut = crop_resize(source, upload(own, self.device), self.image_size).clamp_(0.0, 1.0)
        changed = [
            self.augmentation(images, view, rng("augmentation", step))
            for images, step in zip(cut.tensor_split(len(steps)), steps, strict=True)
        ]
        return [normalise_(images, self.data.mean, self.data.std) for images in changed]
