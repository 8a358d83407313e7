from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from cmae_ablate.arrays import DataArrays
from cmae_ablate.data import TrainingViews, WholeImages, _resample_weights, _weights, crop_resize, normalise
from cmae_ablate.spec import TrialSpec

CROPS = torch.tensor([[0, 0, 40, 48], [3, 5, 17, 20], [10, 0, 30, 9], [39, 47, 1, 1], [0, 1, 24, 24]])


@pytest.mark.parametrize("size", [16, 24, 64])
def test_crop_resize_agrees_with_torchvision_on_each_crop(size: int) -> None:
    images = torch.rand(
        len(CROPS), 3, 40, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    found = crop_resize(images, CROPS, size)
    for image, (top, left, height, width), result in zip(images, CROPS.tolist(), found, strict=True):
        cut = image[:, top : top + height, left : left + width]
        expected = resize(cut, [size, size], InterpolationMode.BICUBIC, antialias=True)
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_a_whole_image_at_its_own_size_is_unchanged() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = torch.tensor([[0, 0, 32, 32]]).expand(2, 4)
    torch.testing.assert_close(crop_resize(images, whole, 32), images, rtol=0, atol=1e-6)


def test_normalised_training_images_have_mean_zero_and_deviation_one(tiny_data: DataArrays) -> None:
    unit = torch.from_numpy(np.asarray(tiny_data.train.images)).double() / 255
    found = normalise(unit, tiny_data.mean, tiny_data.std)
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.std((0, 2, 3)), torch.ones(3).double(), rtol=0, atol=1e-3)


def views_of(spec: TrialSpec, data: DataArrays) -> TrainingViews:
    crop = spec["crop"].build(len(data.train), torch.from_numpy(np.array(data.train.boxes)))
    return TrainingViews(data, crop, spec["augmentation"].build(), 32, 16, spec.seed, torch.device("cpu"))


def test_an_epoch_visits_every_image_once(tiny_spec: TrialSpec, tiny_data: DataArrays) -> None:
    order = views_of(tiny_spec, tiny_data).order(3)
    assert sorted(order.tolist()) == list(range(64))
    assert order.tolist() != views_of(tiny_spec, tiny_data).order(4).tolist()


def test_a_second_view_leaves_the_first_as_it_was(tiny_spec: TrialSpec, tiny_data: DataArrays) -> None:
    batches = views_of(tiny_spec, tiny_data)
    indices = batches.order(0)[:16]
    (alone,) = batches.views(indices, 0, 0, 1)
    first, second = batches.views(indices, 0, 0, 2)
    assert torch.equal(alone, first)
    assert not torch.equal(first, second)


def test_a_batch_depends_on_its_epoch_and_step_alone(tiny_spec: TrialSpec, tiny_data: DataArrays) -> None:
    indices = np.arange(16)
    again = [views_of(tiny_spec, tiny_data).views(indices, 1, 2, 1)[0] for _ in range(2)]
    other = views_of(tiny_spec, tiny_data).views(indices, 1, 3, 1)[0]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], other)


def test_whole_images_come_in_order_at_the_encoder_size(tiny_data: DataArrays) -> None:
    whole = WholeImages(tiny_data, tiny_data.validation, 16, torch.device("cpu"))
    batches = list(whole.batches(20))
    assert [len(batch) for batch in batches] == [20, 12]
    assert batches[0].shape[1:] == (3, 16, 16)


@pytest.mark.parametrize(("source", "size"), [(64, 64), (33, 16), (300, 64)])
def test_weights_that_were_looked_up_are_those_that_were_computed(source: int, size: int) -> None:
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        length = torch.randint(1, source + 1, (16,), generator=rng)
        start = (torch.rand(16, generator=rng) * (source - length + 1)).long()
        found = _weights(start, length, source, size, torch.float32)
        assert torch.equal(found, _resample_weights(start, length, source, size, torch.float32))
