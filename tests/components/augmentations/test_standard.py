from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms.v2 import functional

from cmae_ablate.components.augmentations.standard import StandardAugmentation

OFF = {"flip": 0.0, "jitter": 0.0, "grey": 0.0, "blur": 0.0, "solarize": 0.0}
ALWAYS = {"flip": 0.5, "jitter": 1.0, "grey": 0.5, "blur": 1.0, "solarize": 0.5}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(16, 3, 24, 20, generator=seeded(0))


def test_a_weak_view_is_flipped_or_left_alone(images: Tensor) -> None:
    result = StandardAugmentation()(images, 0, seeded(1))
    flipped = [torch.equal(after, before.flip(2)) for after, before in zip(result, images, strict=True)]
    kept = [torch.equal(after, before) for after, before in zip(result, images, strict=True)]
    assert [a != b for a, b in zip(flipped, kept, strict=True)] == [True] * 16
    assert 0 < sum(flipped) < 16


def test_a_weak_view_need_not_be_flipped_and_the_strong_ones_flip_is_the_same(images: Tensor) -> None:
    still = {"flip_weak": False, "jitter": 0.0, "grey": 0.0, "blur": 0.0}
    assert torch.equal(StandardAugmentation(flip_weak=False)(images, 0, seeded(1)), images)
    strong = StandardAugmentation(**still)(images, 1, seeded(1))
    assert torch.equal(strong, StandardAugmentation()(images, 0, seeded(1)))


def test_half_of_all_images_are_flipped() -> None:
    images = torch.rand(4000, 1, 1, 2, generator=seeded(0)).expand(-1, 3, -1, -1)
    result = StandardAugmentation()(images, 0, seeded(1))
    flipped = (result != images).any(dim=3)[:, 0, 0].sum().item()
    # sd 32 around 2000: false alarm in 1 of 15,000 choices of the seed.
    assert abs(flipped - 2000) < 127


@pytest.mark.parametrize("operation", ["jitter", "grey", "blur", "solarize"])
@pytest.mark.parametrize("probability", [0.2, 0.8])
def test_each_operation_strikes_as_often_as_asked_for(operation: str, probability: float) -> None:
    images = torch.rand(3000, 3, 4, 4, generator=seeded(0))
    options = {**OFF, operation: probability}
    # Blurred by pixels of a 224-pixel image: on four, less than 20 would not show.
    augmentation = StandardAugmentation(strong_views=(0,), blur_sigma=(20.0, 50.0), **options)
    changed = int((augmentation(images, 0, seeded(3)) != images).flatten(1).any(dim=1).sum())
    # Eight binomial tests at 1e-5: a false alarm in 1 of 12,000 choices of the seeds.
    assert stats.binomtest(changed, 3000, probability).pvalue > 1e-5


def test_operations_strike_independently_of_each_other() -> None:
    # Whether it was flipped can be told of a grey image, too: its left side is the brighter one.
    images = torch.tensor([[0.4, 0.1], [0.5, 0.3], [0.2, 0.1]])[:, None].expand(4000, 3, 1, 2)
    both = StandardAugmentation(strong_views=(0,), **{**OFF, "flip": 0.5, "grey": 0.5})
    result = both(images, 0, seeded(4))
    grey = (result[:, 0] == result[:, 1]).all(dim=2).all(dim=1)
    luma = result.mean(dim=1)[:, 0]
    flipped = luma[:, 0] < luma[:, 1]
    table = np.histogram2d(grey.numpy(), flipped.numpy(), bins=2)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-5


def test_amounts_are_drawn_uniformly_from_their_ranges() -> None:
    # Grey images whose brightness is changed tell the factor; points whose blur is 1 wide tell the sigma.
    images = torch.full((3000, 3, 2, 2), 0.5)
    brighter = StandardAugmentation(strong_views=(0,), **{**OFF, "jitter": 1.0}, brightness=0.4)
    factors = brighter(images, 0, seeded(5))[:, 0, 0, 0] / 0.5
    assert stats.kstest(factors.numpy(), "uniform", args=(0.6, 0.8)).pvalue > 1e-5
    points = torch.zeros(3000, 3, 9, 9)
    points[:, :, 4, 4] = 1.0
    blurred = StandardAugmentation(strong_views=(0,), **{**OFF, "blur": 1.0}, blur_sigma=(10.0, 40.0))
    spread = blurred(points, 0, seeded(6))[:, 0]
    # In one row of a Gaussian, neighbours of the centre have exp(-1 / (2 sigma^2)) of it.
    sigmas = (-0.5 / (spread[:, 4, 5] / spread[:, 4, 4]).log()).sqrt() * 224 / 9
    assert stats.kstest(sigmas.numpy(), "uniform", args=(10.0, 30.0)).pvalue > 1e-5


def test_the_second_view_is_strong_by_default(images: Tensor) -> None:
    augmentation = StandardAugmentation(**{**ALWAYS, "flip": 0.0})
    assert torch.equal(augmentation(images, 0, seeded(1)), images)
    changed = (augmentation(images, 1, seeded(1)) != images).flatten(1).any(dim=1)
    assert changed.all()


def test_a_strong_view_is_flipped_exactly_where_the_weak_one_is(images: Tensor) -> None:
    # Only the flip is left of the strong view, so that it can be compared.
    strong = StandardAugmentation(strong_views=(0,), jitter=0.0, grey=0.0, blur=0.0)
    assert torch.equal(strong(images, 0, seeded(2)), StandardAugmentation()(images, 0, seeded(2)))


def test_zero_strength_changes_nothing(images: Tensor) -> None:
    augmentation = StandardAugmentation(
        strong_views=(0,), flip=0, jitter=1, brightness=0, contrast=0, saturation=0, hue=0, grey=0, blur=0
    )
    assert torch.equal(augmentation(images, 0, seeded(1)), images)


def test_zero_probability_changes_nothing(images: Tensor) -> None:
    assert torch.equal(StandardAugmentation(strong_views=(0,), **OFF)(images, 0, seeded(1)), images)


def test_values_stay_in_the_unit_interval() -> None:
    images = torch.rand(64, 3, 16, 16, generator=seeded(3)).round(decimals=1)
    augmentation = StandardAugmentation(
        strong_views=(0,), brightness=1, contrast=1, saturation=1, hue=0.5, blur_sigma=(1.0, 50.0), **ALWAYS
    )
    result = augmentation(images, 0, seeded(4))
    assert result.min() >= 0
    assert result.max() <= 1
    assert result.isfinite().all()


def test_the_same_generator_gives_the_same_view(images: Tensor) -> None:
    augmentation = StandardAugmentation()
    assert torch.equal(augmentation(images, 1, seeded(5)), augmentation(images, 1, seeded(5)))


def test_how_many_numbers_are_drawn_depends_on_nothing_but_the_batch(images: Tensor) -> None:
    following = []
    for view, options in ((0, {}), (1, {}), (1, OFF), (1, ALWAYS)):
        rng = seeded(6)
        StandardAugmentation(**options)(images, view, rng)
        following.append(torch.rand(1, generator=rng).item())
    assert len(set(following)) == 1


def test_an_images_view_does_not_depend_on_the_other_images(images: Tensor) -> None:
    augmentation = StandardAugmentation(**ALWAYS)
    together = augmentation(images, 1, seeded(7))
    others = images.clone()
    others[1:] = 0.5
    torch.testing.assert_close(augmentation(others, 1, seeded(7))[0], together[0])


def test_the_input_is_left_alone(images: Tensor) -> None:
    before = images.clone()
    StandardAugmentation(**ALWAYS)(images, 1, seeded(8))
    assert torch.equal(images, before)


def test_an_empty_batch_stays_empty() -> None:
    assert StandardAugmentation()(torch.empty(0, 3, 8, 8), 1, seeded(9)).shape == (0, 3, 8, 8)


def test_blur_is_in_pixels_of_a_224_pixel_image() -> None:
    images = torch.rand(2, 3, 56, 56, generator=seeded(0))
    augmentation = StandardAugmentation(strong_views=(0,), **{**OFF, "blur": 1.0}, blur_sigma=(4.0, 4.0))
    expected = functional.gaussian_blur(images, [7, 7], [1.0, 1.0])
    torch.testing.assert_close(augmentation(images, 0, seeded(1)), expected, rtol=0, atol=1e-6)


def test_each_image_is_jittered_in_an_order_of_its_own() -> None:
    images = torch.tensor([0.2, 0.4, 0.9])[:, None, None].repeat(200, 1, 1, 2)
    images[:, :, :, 1] *= 0.3
    augmentation = StandardAugmentation(
        strong_views=(0,), **{**OFF, "jitter": 1.0}, brightness=0.0, contrast=1.0, saturation=1.0, hue=0.0
    )
    result = augmentation(images, 0, seeded(10))
    numbers = torch.rand(14, 200, generator=seeded(10))
    contrast, saturation = (2 * numbers[3]).tolist(), (2 * numbers[4]).tolist()
    contrast_first = (numbers[7] < numbers[8]).tolist()
    for i in range(200):
        steps = [
            (functional.adjust_contrast, contrast[i]),
            (functional.adjust_saturation, saturation[i]),
        ]
        expected = images[i]
        for operation, factor in steps if contrast_first[i] else steps[::-1]:
            expected = operation(expected, factor)
        torch.testing.assert_close(result[i], expected, rtol=0, atol=1e-5)
    assert {True, False} == set(contrast_first)
