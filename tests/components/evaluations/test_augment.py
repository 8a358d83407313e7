from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from cmae_ablate.components.evaluations.augment import (
    AugmentedTrain,
    even_batch_size,
    global_streams,
    random_views,
)
from cmae_ablate.data.arrays import Split
from tests.components.evaluations.patterns import pattern_context, pattern_data


def _views(batch_size: int = 10, seed: int = 0) -> AugmentedTrain:
    """Training images of one grey each, so that a view still tells which image it came from."""
    data = pattern_data()
    greys = np.arange(96, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 16, 16), dtype=np.uint8)
    train = Split(greys, np.arange(96, dtype=np.int64), data.train.boxes)
    return AugmentedTrain(pattern_context(replace(data, train=train), seed=seed), 8, batch_size, "test")


def _indices(images: torch.Tensor) -> list[int]:
    return ((images * 0.25 + 0.5) * 255)[:, 0].mean(dim=(1, 2)).round().long().tolist()


def test_an_epoch_shows_every_image_at_most_once_with_its_own_label() -> None:
    batches = list(_views().epoch(0))
    shown = [index for images, _ in batches for index in _indices(images)]
    labels = [label for _, labels in batches for label in labels.tolist()]
    assert len(shown) == len(set(shown)) == 90
    assert shown == labels


def test_views_are_of_the_size_asked_for() -> None:
    images, _ = next(_views().epoch(0))
    assert images.shape == (10, 3, 8, 8)


def test_each_epoch_has_an_order_of_its_own() -> None:
    first, second = (torch.cat([labels for _, labels in _views().epoch(epoch)]) for epoch in (0, 1))
    assert not torch.equal(first, second)


def test_the_seed_decides_the_views() -> None:
    data = pattern_data()
    views = [
        next(AugmentedTrain(pattern_context(data, seed=seed), 16, 8, "test").epoch(0))[0]
        for seed in (1, 1, 2)
    ]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])


def test_half_of_the_views_are_mirrored() -> None:
    # Left half black, right half white: a crop is dark on its left unless mirrored, or tells nothing.
    images = torch.zeros(4000, 3, 8, 8, dtype=torch.uint8)
    images[..., 4:] = 255
    views = random_views(images, 8, torch.Generator().manual_seed(0))
    slope = views[..., -1].mean(dim=(1, 2)) - views[..., 0].mean(dim=(1, 2))
    told = slope[slope.abs() > 0.5]
    mirrored = int((told < 0).sum())
    # Binomial(n, 1/2); five standard deviations are left once in two million seeds.
    assert len(told) > 1000
    assert abs(mirrored - len(told) / 2) < 5 * (len(told) / 4) ** 0.5


@pytest.mark.parametrize(("wish", "num_train", "expected"), [(256, 1000, 256), (256, 97, 96), (7, 1000, 6)])
def test_batches_are_even_and_no_larger_than_the_training_set(
    wish: int, num_train: int, expected: int
) -> None:
    assert even_batch_size(wish, num_train) == expected


def test_global_generators_repeat_inside_and_are_untouched_outside() -> None:
    def numbers() -> list[float]:
        return [random.random(), float(np.random.random()), float(torch.rand(()))]

    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    undisturbed = [numbers(), numbers()]
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = numbers()
    inside = []
    for _ in range(2):
        with global_streams(0, "name"):
            inside.append(numbers())
    assert [before, numbers()] == undisturbed
    assert inside[0] == inside[1]
