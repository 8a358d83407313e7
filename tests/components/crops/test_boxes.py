from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import box_iou

from cmae_ablate.components.crops.boxes import box_areas, box_ious
from cmae_ablate.components.crops.contrastive import boxes_from_heatmaps


def slow_pixel(heatmap: list[list[float]], row: float, column: float) -> float:
    """Bilinear interpolation of a map at a place counted in cells from the first one's centre."""
    row, column = min(max(row, 0.0), len(heatmap) - 1.0), min(max(column, 0.0), len(heatmap[0]) - 1.0)
    top, left = int(row), int(column)
    below, right = min(top + 1, len(heatmap) - 1), min(left + 1, len(heatmap[0]) - 1)
    down, across = row - top, column - left
    upper = (1 - across) * heatmap[top][left] + across * heatmap[top][right]
    lower = (1 - across) * heatmap[below][left] + across * heatmap[below][right]
    return (1 - down) * upper + down * lower


def slow_box(heatmap: Tensor, size: tuple[int, int], threshold: float) -> list[float]:
    """The published arithmetic, pixel by pixel: min-max, bilinear with `align_corners=False`, extent."""
    shape, low, high = heatmap.shape, heatmap.min().item(), heatmap.max().item()
    scaled = [[(value - low) / (high - low) for value in row] for row in heatmap.tolist()]
    hot = [
        (y, x)
        for y in range(size[0])
        for x in range(size[1])
        if slow_pixel(scaled, (y + 0.5) * shape[0] / size[0] - 0.5, (x + 0.5) * shape[1] / size[1] - 0.5)
        > threshold
    ]
    rows, columns = (sorted(places) for places in zip(*hot, strict=True))
    return [rows[0] / size[0], columns[0] / size[1], rows[-1] / size[0], columns[-1] / size[1]]


@pytest.mark.parametrize("shape", [(8, 8), (3, 7)])
@pytest.mark.parametrize("size", [(64, 64), (48, 80), (40, 33)])
@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.1, 0.5])
def test_boxes_equal_the_published_loop(
    shape: tuple[int, int], size: tuple[int, int], threshold: float
) -> None:
    maps = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0)).double() ** 3
    expected = torch.tensor([slow_box(heatmap, size, threshold) for heatmap in maps])
    torch.testing.assert_close(boxes_from_heatmaps(maps, size=size, threshold=threshold), expected)


def test_boxes_touch_the_border_where_the_map_does_and_end_at_the_near_side_of_the_last_pixel() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, 0, 0] = maps[0, 3, 3] = 1.0
    assert boxes_from_heatmaps(maps, size=(64, 64))[0].tolist() == [0, 0, 63 / 64, 63 / 64]


def test_one_pixel_above_the_threshold_is_a_box_of_no_extent() -> None:
    maps = torch.zeros(1, 5, 5)
    maps[0, 3, 1] = 1.0
    assert boxes_from_heatmaps(maps, size=(5, 5), threshold=0.5)[0].tolist() == pytest.approx(
        [3 / 5, 1 / 5, 3 / 5, 1 / 5]
    )


def test_a_value_at_the_threshold_is_not_above_it() -> None:
    # At its own size a map is not interpolated: 0.5 is 0.5.
    box = boxes_from_heatmaps(torch.tensor([[[0.0, 0.5, 1.0, 0.5]]]), size=(1, 4), threshold=0.5)
    assert box.tolist() == [[0.0, 0.5, 0.0, 0.5]]


def test_a_single_hot_patch_gives_a_box_around_its_centre() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 2] = 5.0
    # The patch covers pixels 16-31 and 32-47 of 64; bilinear weights exceed a half strictly inside.
    assert (boxes_from_heatmaps(maps, size=(64, 64), threshold=0.5)[0] * 64).tolist() == [16, 32, 31, 47]


@pytest.mark.parametrize("value", [0.0, 3.0, float("nan")])
def test_a_map_that_tells_nothing_gives_the_whole_image(value: float) -> None:
    boxes = boxes_from_heatmaps(torch.full((2, 4, 4), value), size=(32, 32))
    assert boxes.tolist() == [[0, 0, 1, 1]] * 2


def test_a_peak_that_resizing_flattens_below_the_threshold_gives_the_whole_image() -> None:
    maps = torch.zeros(1, 2, 2)
    maps[0, 0, 0] = 1.0
    assert boxes_from_heatmaps(maps, size=(1, 1), threshold=0.9).tolist() == [[0, 0, 1, 1]]


def test_one_constant_map_does_not_change_its_neighbours() -> None:
    maps = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1))
    alone = boxes_from_heatmaps(maps, size=(16, 16), threshold=0.7)
    maps[1] = 2.0
    together = boxes_from_heatmaps(maps, size=(16, 16), threshold=0.7)
    assert torch.equal(together[[0, 2]], alone[[0, 2]])


def test_no_maps_give_no_boxes() -> None:
    assert boxes_from_heatmaps(torch.empty(0, 4, 4), size=(16, 16)).shape == (0, 4)


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    threshold=st.floats(0, 0.99),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_boxes_lie_inside_the_image_in_the_right_order(
    shape: tuple[int, int, int], size: tuple[int, int], threshold: float, seed: int
) -> None:
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    boxes = boxes_from_heatmaps(maps, size=size, threshold=threshold)
    assert boxes.shape == (shape[0], 4)
    assert bool(((boxes >= 0) & (boxes <= 1)).all())
    assert bool((boxes[:, :2] <= boxes[:, 2:]).all())


@given(st.integers(0, 2**31), st.floats(0.5, 20), st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_boxes_do_not_depend_on_the_scale_of_the_map(seed: int, factor: float, offset: float) -> None:
    # Whole numbers, so that no value sits within rounding of the threshold.
    maps = torch.randint(0, 8, (3, 4, 4), generator=torch.Generator().manual_seed(seed)).double()
    plain = boxes_from_heatmaps(maps, size=(4, 4), threshold=0.47)
    assert torch.equal(boxes_from_heatmaps(factor * maps + offset, size=(4, 4), threshold=0.47), plain)


def random_boxes(count: int, seed: int) -> Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)).sort(dim=1).values
    return corners.flatten(1)


def test_iou_equals_torchvisions() -> None:
    boxes, others = random_boxes(50, 0), random_boxes(50, 1)
    # torchvision takes x before y, which changes nothing about areas.
    torch.testing.assert_close(box_ious(boxes, others), box_iou(boxes, others).diagonal())


def test_one_box_is_compared_with_all() -> None:
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    boxes = random_boxes(5, 2)
    torch.testing.assert_close(box_ious(boxes, whole), box_areas(boxes))


def test_boxes_that_do_not_meet_share_nothing() -> None:
    left, right = torch.tensor([[0.0, 0.0, 0.4, 0.4]]), torch.tensor([[0.6, 0.6, 1.0, 1.0]])
    empty = torch.zeros(1, 4)
    assert box_ious(left, right).item() == 0
    assert box_ious(empty, empty).item() == 0
