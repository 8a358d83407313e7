from __future__ import annotations

import colorsys
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from cmae_ablate.components.datasets import scenes_render
from cmae_ablate.components.datasets.scenes import Scenes
from cmae_ablate.components.datasets.scenes_bank import PANORAMAS, Bank, Panorama, load_bank
from cmae_ablate.components.datasets.scenes_render import look_into, render, turn_hue, visible_box
from cmae_ablate.components.protocols import DATASETS
from cmae_ablate.data.arrays import prepare


def painted(bank: Bank, grey: int) -> Bank:
    """The bank with every sprite in one grey; shapes stay."""

    def paint(sprite: Image.Image) -> Image.Image:
        plain = Image.new("RGBA", sprite.size, (grey, grey, grey, 255))
        plain.putalpha(sprite.getchannel("A"))
        return plain

    return replace(bank, sprites=tuple(tuple(paint(sprite) for sprite in found) for found in bank.sprites))


def looked_up(pixels: NDArray[np.int32], longitude: float, latitude: float) -> NDArray[np.float64]:
    """Bilinear lookup of one direction, in floating point."""
    height, width, _ = pixels.shape
    column, row = longitude / (2 * math.pi) * width - 0.5, (0.5 - latitude / math.pi) * height - 0.5
    left, top = math.floor(column), math.floor(row)
    right_part, lower_part = column - left, row - top
    corners = [
        ((1 - lower_part) * (1 - right_part), pixels[top, left % width]),
        ((1 - lower_part) * right_part, pixels[top, (left + 1) % width]),
        (lower_part * (1 - right_part), pixels[top + 1, left % width]),
        (lower_part * right_part, pixels[top + 1, (left + 1) % width]),
    ]
    found: NDArray[np.float64] = np.sum([weight * color for weight, color in corners], axis=0)
    return found


def test_an_image_can_be_made_again_alone() -> None:
    bank = load_bank()
    alone = render(bank, 3, "test", 17, 64)
    in_order = [render(bank, 3, "test", index, 64) for index in range(18)][17]
    np.testing.assert_array_equal(alone.image, in_order.image)
    assert alone.box == in_order.box


@pytest.mark.parametrize("other", [(1, "train", 5), (0, "test", 5), (0, "train", 37)])
def test_seed_split_and_index_each_change_the_image(other: tuple[int, str, int]) -> None:
    bank = load_bank()
    first, second = render(bank, 0, "train", 5, 64), render(bank, *other, 64)
    assert first.label == second.label
    assert not np.array_equal(first.image, second.image)


def test_no_panorama_serves_two_splits_and_none_is_idle() -> None:
    used = [name for names in PANORAMAS.values() for name in names]
    folder = Path(scenes_render.__file__).parents[2] / "assets" / "scenes" / "panoramas"
    assert sorted(used) == sorted(path.stem for path in folder.glob("*.jpg"))


def test_the_bank_has_32_classes_each_drawn_by_both_vendors() -> None:
    bank = load_bank()
    assert (len(set(bank.class_names)), len(bank.sprites)) == (32, 32)
    assert all(len(found) >= 2 and len(found) % 2 == 0 for found in bank.sprites)


def test_sprites_are_cropped_tight() -> None:
    for sprite in (sprite for found in load_bank().sprites for sprite in found):
        alpha = np.asarray(sprite)[..., 3]
        assert alpha[0].any() and alpha[-1].any() and alpha[:, 0].any() and alpha[:, -1].any()


@pytest.mark.parametrize("index", range(0, 40, 3))
def test_the_box_is_where_the_object_changes_the_image(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes_render, "NOISE", 0.0)
    dark, bright = (render(painted(load_bank(), grey), 0, "train", index, 64) for grey in (0, 255))
    change = (bright.image.astype(int) - dark.image.astype(int)).max(0)
    # Both sprites share their opacity, so it is the change in units of the largest one.
    expected = visible_box(np.rint(255 * change / change.max()).astype(np.uint8))
    np.testing.assert_allclose(bright.box, expected, atol=1.01 / 64)


def one_pixel(red: int, green: int, blue: int, alpha: int = 255) -> Image.Image:
    return Image.new("RGBA", (1, 1), (red, green, blue, alpha))


def test_half_a_turn_of_the_hue_mirrors_a_colour_at_its_luma() -> None:
    # Luma is .299 * 120 + .587 * 100 + .114 * 80 = 103.7; each channel c becomes 2 * 103.7 - c.
    turned = turn_hue(one_pixel(120, 100, 80, 200), math.pi)
    assert turned.getpixel((0, 0)) == (87, 107, 127, 200)


def test_no_turn_and_a_whole_turn_leave_every_colour() -> None:
    for angle in (0.0, 2 * math.pi):
        assert turn_hue(one_pixel(250, 20, 90), angle).getpixel((0, 0)) == (250, 20, 90, 255)


@pytest.mark.parametrize("angle", [0.7, 2.0, 3.9, 5.5])
def test_turning_the_hue_keeps_luma_and_changes_the_hue(angle: float) -> None:
    turned = turn_hue(one_pixel(140, 110, 100), angle).getpixel((0, 0))
    assert isinstance(turned, tuple)
    before, after = (colorsys.rgb_to_yiq(*color) for color in ((140, 110, 100), turned[:3]))
    # The standard library's matrix differs from ours in the third digit.
    assert after[0] == pytest.approx(before[0], abs=2)
    assert math.hypot(*after[1:]) == pytest.approx(math.hypot(*before[1:]), rel=0.15)
    assert math.dist(before[1:], after[1:]) > 10


def test_grey_has_no_hue_to_turn() -> None:
    for angle in (1.0, 2.5, 4.0):
        assert turn_hue(one_pixel(90, 90, 90), angle).getpixel((0, 0)) == (90, 90, 90, 255)


def test_colour_does_not_tell_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    # The hues of one class's objects point everywhere: their mean vector is short beside their mean length.
    bank = load_bank()
    monkeypatch.setattr(scenes_render, "NOISE", 0.0)
    label = bank.class_names.index("strawberry")  # red throughout
    chromas = []
    for index in range(label, 32 * 120, 32):
        image, box = (scene := render(bank, 0, "train", index, 32)).image / 255, scene.box
        top, left, bottom, right = (round(32 * edge) for edge in box)
        inside = image[:, top:bottom, left:right].reshape(3, -1)
        chromas.append(np.mean([colorsys.rgb_to_yiq(*pixel)[1:] for pixel in inside.T], axis=0))
    mean_vector, mean_length = np.linalg.norm(np.mean(chromas, 0)), np.linalg.norm(chromas, axis=1).mean()
    assert mean_vector < 0.4 * mean_length


def test_the_box_ends_after_the_last_visible_pixel() -> None:
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:5, 1:8] = 200
    alpha[0, 0] = 100
    assert visible_box(alpha) == (2 / 8, 1 / 8, 5 / 8, 8 / 8)


def test_a_look_agrees_with_rays_cast_one_by_one() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (128, 256, 3)).astype(np.int32)
    size, field_of_view, yaw, pitch = 12, math.radians(60), 5.9, math.radians(20)
    view = look_into(Panorama((pixels,)), size, field_of_view=field_of_view, yaw=yaw, pitch=pitch)
    for row in range(size):
        for column in range(size):
            x, y = ((at + 0.5) / size * 2 - 1 for at in (column, row))
            ray = np.array([x * math.tan(field_of_view / 2), -y * math.tan(field_of_view / 2), 1.0])
            tilt = np.array(
                [[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]]
            )
            right, up, forward = tilt @ ray / np.linalg.norm(ray)
            expected = looked_up(pixels, yaw + math.atan2(right, forward), math.asin(up))
            # Positions are rounded to 1/256 pixel, and neighbours differ by up to 255.
            np.testing.assert_allclose(view[row, column], expected, atol=2)


def test_wide_views_read_a_coarser_panorama() -> None:
    levels = tuple(np.zeros((width // 2, width, 3), np.int32) for width in (512, 362, 256))
    panorama = Panorama(levels)
    assert [panorama.level(width).shape[1] for width in (900, 500, 300, 100)] == [512, 512, 362, 256]


def test_every_object_is_visible_and_of_the_stated_size() -> None:
    bank = load_bank()
    boxes = np.array([render(bank, 1, "train", index, 64).box for index in range(300)])
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    assert boxes.min() >= 0 and boxes.max() <= 1
    assert sides.min() > 0.55 * 0.7 and sides.max() <= 0.96


def test_prepared_scenes_are_balanced_and_counted(tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    dataset = Scenes(num_train=64, num_validation=32, num_test=32, image_size=32)
    data = prepare(dataset, tmp_path, progress=lambda *report: reports.append(report))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [64, 32, 32]
    assert (np.bincount(data.train.labels) == 2).all()
    assert np.isfinite(data.test.boxes).all()
    assert reports[-1][1:] == (128, 128)


def test_each_image_carries_the_place_that_it_looks_into(tmp_path: Path) -> None:
    data = prepare(Scenes(num_train=64, num_validation=32, num_test=32, image_size=32), tmp_path)
    found = [split.groups for split in (data.train, data.validation, data.test)]
    assert all(groups is not None for groups in found)
    assert [set(np.unique(np.asarray(groups))) for groups in found] == [
        set(range(12)),
        {12, 13},
        {14, 15, 16, 17},
    ]


def test_the_place_is_the_panorama_behind_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes_render, "NOISE", 0.0)
    grey = tuple(Panorama((np.full((8, 16, 3), 50 * (k + 1), np.int32),)) for k in range(4))
    bank = replace(load_bank(), panoramas={"test": grey})
    for index in range(30):
        scene = render(bank, 0, "test", index, 32)
        counts = np.bincount(scene.image[0].ravel(), minlength=256)
        # An object covers its own place with many colours, so a place's one grey is the commonest.
        assert counts[[50, 100, 150, 200]].argmax() == scene.place


def test_by_default_there_are_enough_images_to_tell_a_point() -> None:
    # Half of a 95 % interval around one accuracy near 50 %: 1.96 * sqrt(.25 / 12,800) = 0.87 points.
    size = Scenes().expected_size()
    assert (size.train >= 6400, size.held_out) == (True, 12800 + 3200)


def test_the_default_scenes_still_look_as_those_of_version_2() -> None:
    # Different numbers here mean other images under an old name: raise the version of `scenes`.
    bank = load_bank()
    images = np.stack([render(bank, 0, "train", index, 64).image for index in range(8)])
    np.testing.assert_allclose(images.mean((0, 2, 3)), (129.065, 134.333, 127.851), atol=0.05)


@pytest.mark.parametrize("option", [{"num_train": 0}, {"image_size": 8}, {"seed": -1}, {"size": 64}])
def test_options_out_of_range_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        DATASETS["scenes"].validate(option)


def test_other_options_have_another_place_in_the_cache() -> None:
    keys = {Scenes().cache_key(), Scenes(seed=1).cache_key(), Scenes(num_test=64).cache_key()}
    assert len(keys) == 3
