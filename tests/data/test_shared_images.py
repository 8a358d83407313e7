from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmae_ablate.components.datasets.scenes_bank import load_bank
from cmae_ablate.components.datasets.scenes_render import render
from cmae_ablate.data.shared_images import cell_means, images_of_two_classes, shared_images

Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scenes() -> Images:
    """Different pictures, (90, 3, 64, 64)."""
    bank = load_bank()
    return np.stack([render(bank, 5, "train", index, 64).image for index in range(90)])


def saved_again(images: Images, quality: int = 75, size: int | None = None) -> Images:
    """Through a JPEG, at another size where one is given."""
    found = []
    for image in images:
        picture = Image.fromarray(image.transpose(1, 2, 0))
        if size is not None:
            picture = picture.resize((size, size), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        back = Image.open(file).convert("RGB").resize(image.shape[1:], Image.Resampling.BICUBIC)
        found.append(np.asarray(back).transpose(2, 0, 1))
    return np.stack(found)


def told(train: Images, validation: Images, test: Images) -> list[str]:
    return shared_images({"train": train, "validation": validation, "test": test}, {})


def test_different_pictures_raise_no_alarm(scenes: Images) -> None:
    assert told(scenes[:30], scenes[30:60], scenes[60:]) == []


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ((0, 1), "2 of 30 validation images are also training images"),
        ((0, 2), "2 of 30 test images are also training images"),
        ((1, 2), "2 of 30 test images are also validation images"),
    ],
)
def test_equal_images_are_counted_for_every_pair_of_parts(
    scenes: Images, pair: tuple[int, int], sentence: str
) -> None:
    parts = [scenes[start : start + 30].copy() for start in (0, 30, 60)]
    parts[pair[1]][[4, 9]] = parts[pair[0]][[17, 2]]
    (message,) = told(*parts)
    assert message.startswith(sentence)
    assert "image 4 (" in message and "image 17)" in message and message.endswith("results on them flatter")


@pytest.mark.parametrize(("quality", "size"), [(95, None), (75, None), (50, None), (75, 48), (90, 128)])
@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_copies_saved_again_are_found_for_every_pair_of_parts(
    scenes: Images, pair: tuple[int, int], quality: int, size: int | None
) -> None:
    parts = [scenes[start : start + 30].copy() for start in (0, 30, 60)]
    parts[pair[1]][:10] = saved_again(parts[pair[0]][10:20], quality, size)
    (message,) = told(*parts)
    names = ("training", "validation", "test")
    assert message.startswith(
        f"10 of 30 {names[pair[1]]} images are, saved again or nearly, also {names[pair[0]]} images"
    )


def flat(rng: np.random.Generator, count: int) -> Images:
    colors = rng.integers(0, 256, (count, 3, 1, 1), np.uint8)
    return np.broadcast_to(colors, (count, 3, 64, 64)).copy()


def nearly_flat(rng: np.random.Generator, count: int) -> Images:
    return (128 + rng.integers(-2, 3, (count, 3, 64, 64))).astype(np.uint8)


def noise(rng: np.random.Generator, count: int) -> Images:
    return rng.integers(0, 256, (count, 3, 64, 64), np.uint8)


def pages(rng: np.random.Generator, count: int) -> Images:
    """A black square somewhere on white: alike, and never the same."""
    images = np.full((count, 3, 64, 64), 255, np.uint8)
    for image, (top, left) in zip(
        images, rng.permutation(48 * 48)[:count, None] // (48, 1) % 48, strict=True
    ):
        image[:, top : top + 16, left : left + 16] = 0
    return images


@pytest.mark.parametrize("kind", [flat, nearly_flat, noise])
def test_plain_images_and_noise_are_no_copies_of_each_other(
    kind: Callable[[np.random.Generator, int], Images],
) -> None:
    images = kind(np.random.default_rng(0), 300)
    assert told(images[:200], images[200:250], images[250:]) == []


def test_pages_that_differ_in_where_something_stands_are_no_copies() -> None:
    images = pages(np.random.default_rng(0), 60)
    apart = np.abs(cell_means(images)[:, None] - cell_means(images)[None]).max((2, 3, 4))
    assert (apart[:40, 40:] > 60).mean() > 0.9  # most of them clearly so
    for message in told(images[:40], images[40:50], images[50:]):
        assert int(message.split()[0]) <= 2  # a square moved by a pixel may be taken for the same


def test_names_stand_for_the_examples(scenes: Images) -> None:
    names = {
        "train": [f"train/{row}.png" for row in range(30)],
        "test": [f"test/{row}.png" for row in range(30)],
    }
    parts = {"train": scenes[:30], "validation": scenes[30:60], "test": np.roll(scenes[:30], 1, axis=0)}
    (message,) = shared_images(parts, names)
    assert "such as test/0.png (train/29.png)" in message


def test_copies_are_found_among_thousands_of_images_alike() -> None:
    # All hashes share their groups of bits: the bound on pairs must not hide what it need not.
    rng = np.random.default_rng(1)
    images = pages(rng, 900)
    test = saved_again(images[:5])
    found = told(images[:800], images[800:850], test)
    assert any(message.startswith("5 of 5 test images are") for message in found)


@pytest.mark.parametrize("size", [8, 16, 33, 64, 96])
def test_cells_are_means_of_pixels(size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, size, size), np.uint8)
    found = cell_means(images)
    edges = [number * size // 16 for number in range(17)]
    for row in range(16):
        for column in range(16):
            rows = slice(edges[row], max(edges[row + 1], edges[row] + 1))
            columns = slice(edges[column], max(edges[column + 1], edges[column] + 1))
            expected = images[:, :, rows, columns].mean((2, 3))
            np.testing.assert_allclose(found[:, :, row, column], expected, rtol=1e-5)


def test_pictures_in_two_classes_are_counted_once_in_whatever_parts_they_stand(scenes: Images) -> None:
    train = np.concatenate([scenes[:6], scenes[:1], scenes[:1], scenes[3:4]])
    parts = {"train": train, "validation": scenes[5:8], "test": scenes[8:10]}
    labels = {"train": [0, 0, 0, 1, 1, 1, 1, 1, 1], "validation": [0, 0, 1], "test": [0, 1]}
    rows = {part: np.array(found) for part, found in labels.items()}
    (message,) = images_of_two_classes(parts, rows, {})
    # The fourth is there twice in one class; the first in both, the sixth in another class of validation.
    assert message.startswith(
        "2 picture(s) stand in several classes, such as train image 0 and train image 6:"
    )


def test_pictures_of_one_class_each_raise_no_alarm(scenes: Images) -> None:
    parts = {"train": scenes[:4], "validation": scenes[:2], "test": scenes[4:5]}
    labels = {"train": np.array([0, 1, 0, 1]), "validation": np.array([0, 1]), "test": np.array([0])}
    assert images_of_two_classes(parts, labels, {}) == []
