from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomResizedCrop as TorchvisionCrop

from cmae_ablate.components.crop_sampling import anywhere, crop_sizes, draw
from cmae_ablate.components.crops.contrastive import sample_crops
from cmae_ablate.components.crops.random_resized import RandomResizedCrop

SCALE, RATIO = (0.2, 1.0), (3 / 4, 4 / 3)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scalar_crop(
    box: list[float], numbers: Tensor, *, height: int, width: int, alpha: float, scale: tuple[float, float]
) -> list[int]:
    """The published arithmetic for one image, from the same 22 uniform numbers."""
    areas, aspects, places = numbers[:10].tolist(), numbers[10:20].tolist(), numbers[20:].tolist()
    for area_number, aspect_number in zip(areas, aspects, strict=True):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * area_number)
        low, high = math.log(RATIO[0]), math.log(RATIO[1])
        aspect = math.exp(low + (high - low) * aspect_number)
        w, h = int(round(math.sqrt(area * aspect))), int(round(math.sqrt(area / aspect)))  # noqa: RUF046
        if 0 < w <= width and 0 < h <= height:
            top_share, left_share = stats.beta(alpha, alpha).ppf(places)
            c0 = min(max(int(height * box[0]) - h // 2, 0), height - h)
            c1 = min(max(int(height * box[2]) - h // 2, 0), height - h)
            d0 = min(max(int(width * box[1]) - w // 2, 0), width - w)
            d1 = min(max(int(width * box[3]) - w // 2, 0), width - w)
            return [c0 + int((c1 - c0) * top_share), d0 + int((d1 - d0) * left_share), h, w]
    aspect = width / height
    w = min(width, round(height * RATIO[1])) if aspect > RATIO[1] else width
    h = min(height, round(width / RATIO[0])) if aspect < RATIO[0] else height
    return [(height - h) // 2, (width - w) // 2, h, w]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (33, 57), (16, 120)])
@pytest.mark.parametrize("alpha", [0.1, 0.6, 1.0, 3.0])
def test_crops_equal_the_published_arithmetic_image_by_image(height: int, width: int, alpha: float) -> None:
    boxes = torch.rand(100, 2, 2, generator=seeded(0), dtype=torch.float64).sort(dim=1).values.flatten(1)
    numbers = torch.rand(22, 100, generator=seeded(1), dtype=torch.float64)
    expected = [
        scalar_crop(box.tolist(), numbers[:, i], height=height, width=width, alpha=alpha, scale=SCALE)
        for i, box in enumerate(boxes)
    ]
    crops = sample_crops(boxes, height=height, width=width, alpha=alpha, scale=SCALE, rng=seeded(1))
    assert crops.tolist() == expected


@pytest.mark.parametrize(("height", "width"), [(10, 100), (100, 10), (40, 50)])
def test_the_fallback_is_torchvisions_central_crop(height: int, width: int) -> None:
    # An area of the whole image never fits at these aspect ratios, except within rounding.
    scale, ratio = (1.0, 1.0), (1.5, 1.6)
    torchvision = TorchvisionCrop.get_params(torch.empty(3, height, width), list(scale), list(ratio))
    rng = seeded(0)
    crops = sample_crops(
        torch.tensor([[0.0, 0.0, 1.0, 1.0]]), height=height, width=width, scale=scale, ratio=ratio, rng=rng
    )
    draws = draw(1, seeded(0))
    uniform = anywhere(height, width, crop_sizes(height, width, scale, ratio, draws), draws.places)
    assert crops.tolist() == uniform.tolist() == [list(torchvision)]


def published_crop(box: list[float], alpha: float, rng: np.random.Generator) -> list[float]:
    """ContrastiveCrop drawn by numpy on a 64-pixel image: another generator, another Beta sampler."""
    while True:
        area = 64 * 64 * rng.uniform(*SCALE)
        aspect = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if w <= 64 and h <= 64:
            c0, c1 = (min(max(int(64 * edge) - h // 2, 0), 64 - h) for edge in (box[0], box[2]))
            d0, d1 = (min(max(int(64 * edge) - w // 2, 0), 64 - w) for edge in (box[1], box[3]))
            top, left = (
                c0 + int((c1 - c0) * rng.beta(alpha, alpha)),
                d0 + int((d1 - d0) * rng.beta(alpha, alpha)),
            )
            return [top, left, h, w]


@pytest.mark.parametrize("alpha", [0.1, 0.6])
def test_crops_have_the_distribution_of_the_published_sampler(alpha: float) -> None:
    box = [0.1, 0.3, 0.7, 0.9]
    rng = np.random.default_rng(0)
    reference = np.array([published_crop(box, alpha, rng) for _ in range(4000)])
    ours = sample_crops(torch.tensor([box]).expand(4000, 4), height=64, width=64, alpha=alpha, rng=seeded(2))
    for column in range(4):
        # Ten such tests in this file at 1e-5 each: a false alarm in 1 of 10,000 choices of seeds.
        assert stats.ks_2samp(reference[:, column], ours[:, column].numpy()).pvalue > 1e-5


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 90)])
def test_random_resized_has_torchvisions_distribution(height: int, width: int) -> None:
    image = torch.empty(3, height, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = np.array([TorchvisionCrop.get_params(image, [0.2, 1.0], list(RATIO)) for _ in range(3000)])
    crop = RandomResizedCrop(3000, torch.empty(3000, 4))
    ours = crop.sample(torch.arange(3000), height, width, seeded(1)).numpy()
    for column in range(4):
        assert stats.ks_2samp(theirs[:, column], ours[:, column]).pvalue > 1e-5
    # Top and left hang on the size: compare where in its range the crop lies, too.
    for column, extent in ((0, height), (1, width)):
        shares = [(crops[:, column] + 0.5) / (extent - crops[:, column + 2] + 1) for crops in (theirs, ours)]
        assert stats.ks_2samp(*shares).pvalue > 1e-5


@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    alpha=st.floats(0.05, 10),
    scale=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)).map(sorted),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=100, deadline=None)
def test_crops_lie_inside_the_image_and_have_at_least_one_pixel(
    height: int, width: int, alpha: float, scale: tuple[float, float], seed: int
) -> None:
    boxes = torch.rand(8, 2, 2, generator=seeded(seed)).sort(dim=1).values.flatten(1)
    crops = sample_crops(boxes, height=height, width=width, alpha=alpha, scale=scale, rng=seeded(seed))
    uniform = RandomResizedCrop(8, boxes, scale=scale).sample(torch.arange(8), height, width, seeded(seed))
    for top, left, h, w in [*crops.tolist(), *uniform.tolist()]:
        assert 0 <= top <= top + h <= height
        assert 0 <= left <= left + w <= width
        assert h >= 1
        assert w >= 1


def test_no_boxes_give_no_crops() -> None:
    assert sample_crops(torch.empty(0, 4), height=64, width=64, rng=seeded(0)).shape == (0, 4)


def test_a_box_of_one_point_fixes_the_centre_of_the_crop() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.5]]).expand(50, 4)
    crops = sample_crops(boxes, height=64, width=64, rng=seeded(0))
    assert torch.equal(crops[:, 0], 32 - crops[:, 2] // 2)
    assert torch.equal(crops[:, 1], 32 - crops[:, 3] // 2)


def test_how_many_numbers_are_drawn_does_not_depend_on_the_settings() -> None:
    box = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).expand(7, 4)
    after = []
    for alpha, scale in ((0.1, (0.2, 1.0)), (1.0, (1.0, 1.0)), (5.0, (0.01, 0.02))):
        rng = seeded(3)
        sample_crops(box, height=64, width=64, alpha=alpha, scale=scale, rng=rng)
        after.append(torch.rand(1, generator=rng).item())
    assert len(set(after)) == 1


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    sample_crops(torch.rand(4, 4), height=64, width=64, rng=seeded(0))
    after = torch.random.get_rng_state()
    torch.rand(1)
    assert not torch.equal(torch.random.get_rng_state(), after)
    # Only the line that made the boxes drew from it.
    torch.random.set_rng_state(before)
    torch.rand(4, 4)
    assert torch.equal(torch.random.get_rng_state(), after)


NAN, INF = float("nan"), float("inf")
WRONG = [
    *(({"alpha": alpha}, r"^alpha: .*; a finite number above 0") for alpha in (0.0, -1.0, NAN, INF)),
    *(
        ({"scale": scale}, r"^scale: .*; low <= high, both in \(0, 1\]")
        for scale in ((1.0, 0.2), (0.0, 1.0), (0.2, 1.1), (NAN, 1.0), (0.2, NAN), (-0.5, 1.0))
    ),
    *(
        ({"ratio": ratio}, r"^ratio: .*; low <= high, both in \(0, inf\)")
        for ratio in ((0, 1), (-1.0, 1.0), (2.0, 1.0), (1.0, INF), (NAN, 1.0))
    ),
    ({"height": 0}, "^height: 0; a number of pixels from 1"),
    ({"width": -3}, "^width: -3; a number of pixels from 1"),
    ({"boxes": torch.rand(4)}, r"^boxes: the shape is \(4,\); \(B, 4\)"),
    ({"boxes": torch.full((1, 4), NAN)}, "^boxes: one is NaN"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_arguments_out_of_their_range_are_named_with_it_and_draw_nothing(
    wrong: dict[str, Any], message: str
) -> None:
    rng = seeded(0)
    before = rng.get_state()
    right = {"boxes": torch.rand(2, 4, generator=seeded(1)), "height": 64, "width": 64}
    with pytest.raises(ValueError, match=message):
        sample_crops(**{**right, **wrong}, rng=rng)
    assert torch.equal(rng.get_state(), before)


def test_ranges_of_one_value_and_their_ends_pass() -> None:
    one = sample_crops(torch.rand(3, 4), 64, 64, rng=seeded(0), scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert one.tolist() == [[0, 0, 64, 64]] * 3
