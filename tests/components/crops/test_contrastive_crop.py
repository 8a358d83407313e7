from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from cmae_ablate.components.crop_sampling import sample_crops
from cmae_ablate.components.crops.center_box import CenterBoxCrop
from cmae_ablate.components.crops.contrastive import ContrastiveCrop
from cmae_ablate.components.crops.fixed_size import FixedSizeCrop
from cmae_ablate.components.crops.full import FullCrop
from cmae_ablate.components.crops.full_box import FullBoxCrop
from cmae_ablate.components.crops.ground_truth_box import GroundTruthBoxCrop
from cmae_ablate.components.crops.random_resized import RandomResizedCrop
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask, patchify

NUM_IMAGES = 6
UNKNOWN = torch.full((NUM_IMAGES, 4), float("nan"))


class BrightnessEncoder:
    """Tokens of two channels: the patch's mean, and nothing; so every heat map shows bright patches."""

    embed_dim, patch_size, image_size, grid, num_patches = 2, 8, 32, (4, 4), 16

    def encode(
        self,
        images: Tensor,
        mask: PatchMask | None,
        *,
        positions: bool | Tensor = True,
        norm: bool = True,
    ) -> Tensor:
        brightness = patchify(images, 8).mean(dim=2)
        tokens = torch.stack([brightness, torch.zeros_like(brightness)], dim=2)
        return torch.cat([torch.zeros(len(images), 1, 2), tokens], dim=1)

    def class_attention(self, images: Tensor) -> Tensor:
        return patchify(images, 8).mean(dim=2)

    def parameters(self) -> list[torch.nn.Parameter]:
        return []

    def state_dict(self) -> dict[str, Tensor]:
        return {}


class BrightSpots:
    """Dark images whose patch (1, 2) of 4 x 4 is bright."""

    def __init__(self) -> None:
        self.looks = 0

    def __len__(self) -> int:
        return NUM_IMAGES

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        self.looks += 1
        images = torch.zeros(NUM_IMAGES, 3, 32, 32)
        images[:, :, 8:16, 16:24] = 1.0
        yield from images.split(4)


SPOT = torch.tensor([[8.0, 16.0, 16.0, 24.0]]).expand(NUM_IMAGES, 4) / 32


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("heatmap", ["channel_sum", "feature_norm", "class_attention", "first_component"])
def test_every_heat_map_finds_the_bright_patch(heatmap: str) -> None:
    crop = ContrastiveCrop(NUM_IMAGES, SPOT, heatmap=heatmap, threshold=0.5, warmup_epochs=0)
    refresh = crop.refresh(0, BrightnessEncoder(), BrightSpots())
    assert refresh is not None
    assert refresh.metrics["iou"] == pytest.approx(1.0)
    # As published, the last edge is the near side of its pixel.
    assert (crop.state_dict()["boxes"] * 32).tolist() == [[8, 16, 15, 23]] * NUM_IMAGES


def test_boxes_are_computed_when_the_warm_up_ends_and_then_every_interval() -> None:
    crop, images = ContrastiveCrop(NUM_IMAGES, UNKNOWN, warmup_epochs=3, interval=2), BrightSpots()
    looked = [epoch for epoch in range(9) if crop.refresh(epoch, BrightnessEncoder(), images) is not None]
    assert looked == [3, 5, 7]
    assert images.looks == 3


def test_with_known_boxes_the_random_encoder_is_measured_but_not_used() -> None:
    crop = ContrastiveCrop(NUM_IMAGES, SPOT, threshold=0.5, warmup_epochs=3)
    refresh = crop.refresh(0, BrightnessEncoder(), BrightSpots())
    assert refresh is not None
    assert refresh.metrics["iou_random_init"] == pytest.approx(1.0)
    assert "iou" not in refresh.metrics
    assert crop.state_dict()["boxes"].isnan().all()


def test_until_the_warm_up_ends_crops_are_those_of_random_resized() -> None:
    contrastive, plain = ContrastiveCrop(NUM_IMAGES, SPOT), RandomResizedCrop(NUM_IMAGES, SPOT)
    indices = torch.tensor([5, 0, 0, 3])
    expected = plain.sample(indices, 48, 64, seeded())
    assert torch.equal(contrastive.sample(indices, 48, 64, seeded()), expected)


def test_after_the_warm_up_crops_centre_on_the_boxes_of_their_images() -> None:
    crop = ContrastiveCrop(NUM_IMAGES, UNKNOWN, warmup_epochs=0, alpha=0.3)
    boxes = torch.rand(NUM_IMAGES, 2, 2, generator=seeded(1)).sort(dim=1).values.flatten(1)
    crop.load_state_dict({"boxes": boxes})
    indices = torch.tensor([4, 1, 1])
    expected = sample_crops(boxes[indices], height=40, width=64, alpha=0.3, rng=seeded())
    assert torch.equal(crop.sample(indices, 40, 64, seeded()), expected)


def test_all_strategies_cut_the_same_sizes_from_the_same_generator() -> None:
    indices = torch.arange(NUM_IMAGES)
    boxed = ContrastiveCrop(NUM_IMAGES, SPOT)
    boxed.load_state_dict({"boxes": SPOT})
    strategies = [
        RandomResizedCrop(NUM_IMAGES, SPOT),
        FullBoxCrop(NUM_IMAGES, SPOT),
        boxed,
        CenterBoxCrop(NUM_IMAGES, SPOT),
        GroundTruthBoxCrop(NUM_IMAGES, SPOT),
    ]
    sizes = [strategy.sample(indices, 64, 64, seeded(2))[:, 2:] for strategy in strategies]
    assert all(torch.equal(size, sizes[0]) for size in sizes)


def test_a_resumed_strategy_crops_as_the_original_does() -> None:
    original = ContrastiveCrop(NUM_IMAGES, UNKNOWN, warmup_epochs=0)
    original.refresh(0, BrightnessEncoder(), BrightSpots())
    resumed = ContrastiveCrop(NUM_IMAGES, UNKNOWN, warmup_epochs=0)
    resumed.load_state_dict(original.state_dict())
    indices = torch.arange(NUM_IMAGES)
    expected = original.sample(indices, 64, 64, seeded())
    assert torch.equal(resumed.sample(indices, 64, 64, seeded()), expected)


def test_refresh_reports_areas_and_baselines() -> None:
    crop = ContrastiveCrop(NUM_IMAGES, SPOT, threshold=0.5, warmup_epochs=1)
    refresh = crop.refresh(1, BrightnessEncoder(), BrightSpots())
    assert refresh is not None
    spot_area = 1 / 16
    assert refresh.metrics["box_area_p50"] == pytest.approx(spot_area)
    assert refresh.metrics["box_covers_image"] == 0
    assert refresh.metrics["iou_full"] == pytest.approx(spot_area)
    # The spot's lower left quarter lies in the middle half: 1/4 of it there, 1/4 of the image.
    assert refresh.metrics["iou_center"] == pytest.approx(1 / 16 / (1 / 4))
    assert 0.5 < refresh.metrics["iou_border"] <= 1


def test_without_known_boxes_no_iou_is_reported() -> None:
    crop = ContrastiveCrop(NUM_IMAGES, UNKNOWN, threshold=0.5, warmup_epochs=0)
    refresh = crop.refresh(0, BrightnessEncoder(), BrightSpots())
    assert refresh is not None
    assert sorted(refresh.metrics) == ["box_area_p10", "box_area_p50", "box_area_p90", "box_covers_image"]


def test_images_without_a_known_box_do_not_count_towards_the_iou() -> None:
    some_known = SPOT.clone()
    some_known[1:] = float("nan")
    crop = ContrastiveCrop(NUM_IMAGES, some_known, threshold=0.5, warmup_epochs=0)
    refresh = crop.refresh(0, BrightnessEncoder(), BrightSpots())
    assert refresh is not None
    assert refresh.metrics["iou"] == pytest.approx(1.0)


def test_boxes_that_cover_the_image_are_flagged() -> None:
    class DarkSpots(BrightSpots):
        def batches(self, batch_size: int) -> Iterator[Tensor]:
            return (1 - batch for batch in super().batches(batch_size))

    crop = ContrastiveCrop(NUM_IMAGES, UNKNOWN, warmup_epochs=0)
    refresh = crop.refresh(0, BrightnessEncoder(), DarkSpots())
    assert refresh is not None
    assert refresh.metrics["box_area_p50"] == 1
    assert refresh.metrics["box_covers_image"] == 1


def test_true_boxes_never_move_a_contrastive_crop() -> None:
    indices = torch.arange(NUM_IMAGES)
    crops = []
    for true_boxes in (SPOT, UNKNOWN, 1 - SPOT.flip(1)):
        crop = ContrastiveCrop(NUM_IMAGES, true_boxes, warmup_epochs=0, threshold=0.5)
        crop.refresh(0, BrightnessEncoder(), BrightSpots())
        crops.append(crop.sample(indices, 64, 64, seeded()))
    assert torch.equal(crops[0], crops[1])
    assert torch.equal(crops[0], crops[2])


def test_full_crops_are_the_whole_image() -> None:
    crops = FullCrop(NUM_IMAGES, UNKNOWN).sample(torch.arange(2), 40, 50, seeded())
    assert crops.tolist() == [[0, 0, 40, 50]] * 2


def test_full_boxes_are_contrastive_crops_whose_every_box_is_the_image() -> None:
    full, found = FullBoxCrop(NUM_IMAGES, SPOT), ContrastiveCrop(NUM_IMAGES, UNKNOWN)
    indices = torch.tensor([5, 0, 3])
    plain = RandomResizedCrop(NUM_IMAGES, SPOT).sample(indices, 64, 48, seeded())
    for epoch in (0, 99):
        full.refresh(epoch, BrightnessEncoder(), BrightSpots())
        assert torch.equal(full.sample(indices, 64, 48, seeded()), plain)
    full.refresh(100, BrightnessEncoder(), BrightSpots())
    found.load_state_dict({"boxes": torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(NUM_IMAGES, 1)})
    crops = full.sample(indices, 64, 48, seeded())
    assert torch.equal(crops, found.sample(indices, 64, 48, seeded()))
    assert not torch.equal(crops, plain)
    resumed = FullBoxCrop(NUM_IMAGES, SPOT)
    resumed.load_state_dict(full.state_dict())
    assert torch.equal(resumed.sample(indices, 64, 48, seeded()), crops)


def test_full_boxes_seek_the_edges_as_the_beta_distribution_does() -> None:
    count = 40_000
    crop = FullBoxCrop(count, UNKNOWN[:1].expand(count, 4), warmup_epochs=0, scale=(0.2, 0.5))
    crop.refresh(0, BrightnessEncoder(), BrightSpots())
    # Large images, so that whole pixels do not show: 2 * I_0.1(0.6, 0.6) = 0.352 of a Beta(0.6, 0.6).
    crops = crop.sample(torch.arange(count), 2000, 2000, seeded())
    places = crops[:, :2] / (2000 - crops[:, 2:])
    outer = int(((places < 0.1) | (places > 0.9)).sum())
    drawn = np.random.default_rng(0).beta(0.6, 0.6, size=10**6)
    expected = float(((drawn < 0.1) | (drawn > 0.9)).mean())
    assert expected == pytest.approx(0.352, abs=0.002)
    # Standard deviation 0.0017: a false alarm in 1 of 10,000 choices of the seed.
    assert outer / (2 * count) == pytest.approx(expected, abs=0.0068)


@pytest.mark.parametrize(("side", "full", "plain"), [(64, 0.34, 0.28), (224, 0.35, 0.23)])
def test_the_shares_of_crops_in_the_outer_tenths_are_those_of_the_docstring(
    side: int, full: float, plain: float
) -> None:
    count = 40_000
    boxed = FullBoxCrop(count, UNKNOWN[:1].expand(count, 4), warmup_epochs=0)
    boxed.refresh(0, BrightnessEncoder(), BrightSpots())
    for strategy, share in ((boxed, full), (RandomResizedCrop(count, UNKNOWN), plain)):
        crops = strategy.sample(torch.arange(count), side, side, seeded())
        room = side - crops[:, 2:]
        places = (crops[:, :2] / room)[room > 0]
        # Standard deviation 0.0017, and shares are given in whole percents.
        assert float(((places < 0.1) | (places > 0.9)).float().mean()) == pytest.approx(share, abs=0.012)


def test_crops_of_one_size_lie_in_the_corner_in_some_views_and_anywhere_in_the_others() -> None:
    # 224 of 256 pixels, as SDMAE cuts them: 33 places along each side.
    crop, indices = FixedSizeCrop(NUM_IMAGES, UNKNOWN), torch.zeros(6600, dtype=torch.int64)
    assert crop.sample(indices[:2], 256, 256, seeded(), 0).tolist() == [[0, 0, 224, 224]] * 2
    crops = crop.sample(indices, 256, 256, seeded(), 1)
    assert crops[:, 2:].unique().tolist() == [224]
    for axis in (0, 1):
        counts = np.bincount(crops[:, axis].numpy(), minlength=33)
        assert len(counts) == 33
        assert stats.chisquare(counts).pvalue > 1e-5
    assert abs(np.corrcoef(crops[:, 0], crops[:, 1])[0, 1]) < 0.06


def test_crops_of_one_size_follow_the_image() -> None:
    crop = FixedSizeCrop(NUM_IMAGES, UNKNOWN, side=0.5, corner_views=(1,))
    crops = crop.sample(torch.arange(NUM_IMAGES), 64, 40, seeded(), 1)
    assert crops.tolist() == [[0, 0, 32, 20]] * NUM_IMAGES


def test_center_boxes_are_the_middle_half_of_every_image() -> None:
    middle = torch.tensor([[0.25, 0.25, 0.75, 0.75]]).expand(3, 4)
    expected = sample_crops(middle, height=48, width=64, alpha=0.6, rng=seeded())
    crop = CenterBoxCrop(NUM_IMAGES, SPOT)
    assert torch.equal(crop.sample(torch.tensor([0, 5, 2]), 48, 64, seeded()), expected)


def test_ground_truth_crops_centre_on_the_known_boxes_and_else_on_the_whole_image() -> None:
    some_known = SPOT.clone()
    some_known[2] = float("nan")
    boxes = SPOT.clone()
    boxes[2] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    crop = GroundTruthBoxCrop(NUM_IMAGES, some_known)
    expected = sample_crops(boxes, height=64, width=64, rng=seeded())
    assert torch.equal(crop.sample(torch.arange(NUM_IMAGES), 64, 64, seeded()), expected)


def test_ground_truth_crops_without_any_box_are_the_users_mistake() -> None:
    with pytest.raises(UserError, match="ground_truth_box needs boxes"):
        GroundTruthBoxCrop(NUM_IMAGES, UNKNOWN)
