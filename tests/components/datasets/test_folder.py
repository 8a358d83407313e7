from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmae_ablate.components.datasets.folder import Folder
from cmae_ablate.data.arrays import DataArrays, prepare
from cmae_ablate.errors import UserError

_next_color = iter(range(10_000_000))


def save(path: Path, size: tuple[int, int] = (40, 30)) -> None:
    """A plain image in a colour that no other image has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    color = next(_next_color) * 9973 % (1 << 24)
    Image.new("RGB", size, (color >> 16, color >> 8 & 255, color & 255)).save(path)


def fill(root: Path, parts: dict[str, int], classes: tuple[str, ...] = ("bird", "cat")) -> Path:
    """So many images a class in each part; the part `.` is the root itself."""
    for part, count in parts.items():
        for name in classes:
            for number in range(count):
                save(root / part / name / f"{number:02}.png")
    return root


def load(source: Path, cache: Path, *, image_size: int = 16, skip_damaged: bool = False) -> DataArrays:
    dataset = Folder(source=str(source), image_size=image_size, skip_damaged=skip_damaged)
    return prepare(dataset, cache, notice=lambda message: None)


def sizes(data: DataArrays) -> tuple[int, int, int]:
    return len(data.train), len(data.validation), len(data.test)


def refusal(source: Path, cache: Path) -> str:
    """The message, after making sure that nothing is left in the cache."""
    with pytest.raises(UserError) as caught:
        load(source, cache)
    assert not [path for path in cache.iterdir() if path.is_dir()]
    return str(caught.value)


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_three_parts_are_taken_as_they_are(tmp_path: Path, validation: str) -> None:
    data = load(fill(tmp_path / "data", {"train": 4, validation: 2, "test": 3}), tmp_path / "cache")
    assert (sizes(data), data.class_names, data.notices) == ((8, 4, 6), ("bird", "cat"), ())


def test_without_validation_a_tenth_of_train_is_held_out_and_told(tmp_path: Path) -> None:
    data = load(fill(tmp_path / "data", {"train": 20, "test": 3}), tmp_path / "cache")
    assert (sizes(data), len(data.notices)) == ((36, 4, 6), 1)
    assert "no validation part" in data.notices[0]


def test_without_test_the_validation_images_are_the_test_part(tmp_path: Path) -> None:
    data = load(fill(tmp_path / "data", {"train": 20, "val": 3}), tmp_path / "cache")
    assert sizes(data) == (36, 4, 6)
    assert "no test part" in data.notices[0]


@pytest.mark.parametrize("part", ["train", "."])
def test_with_train_alone_both_other_parts_are_held_out(tmp_path: Path, part: str) -> None:
    data = load(fill(tmp_path / "data", {part: 20}), tmp_path / "cache")
    assert sizes(data) == (28, 4, 8)
    assert "neither a validation nor a test part" in data.notices[0]


def test_held_out_parts_share_no_image(tmp_path: Path) -> None:
    data = load(fill(tmp_path / "data", {"train": 20}), tmp_path / "cache")
    images = [image.tobytes() for split in (data.train, data.validation, data.test) for image in split.images]
    assert len(set(images)) == len(images) == 40


def test_a_class_too_small_to_hold_out_from_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "data", {"train": 10})
    fill(tmp_path / "data", {"train": 2}, ("dog",))
    assert "'dog'" in refusal(tmp_path / "data", tmp_path / "cache")


def test_images_are_scaled_by_the_shorter_side_and_cut_at_the_centre(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 255
    Image.fromarray(wide).save(root / "test" / "bird" / "00.png")
    image = load(root, tmp_path / "cache").test.images[0]
    assert image.shape == (3, 16, 16) and (image[:, :, 2:-2] == 255).all()


def test_fine_stripes_become_grey_when_made_small(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(root / "test" / "bird" / "00.png")
    image = load(root, tmp_path / "cache").test.images[0]
    assert np.abs(image.astype(int) - 127).max() < 6


def test_images_turned_by_their_camera_stand_upright(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(picture).save(root / "test" / "bird" / "00.png", exif=exif)
    image = load(root, tmp_path / "cache").test.images[0]
    assert (image[:, :6] == 0).all() and (image[:, -6:] == 255).all()


def test_images_may_lie_deeper_than_their_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    save(root / "train" / "cat" / "more" / "deep.png")
    assert sizes(load(root, tmp_path / "cache")) == (9, 2, 2)


def test_boxes_are_unknown(tmp_path: Path) -> None:
    data = load(fill(tmp_path / "data", {"train": 20}), tmp_path / "cache")
    assert np.isnan(data.train.boxes).all()


def test_an_empty_class_is_refused_by_name(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    (root / "train" / "dog").mkdir()
    assert "1 class(es) of train hold no images: dog" in refusal(root, tmp_path / "cache")


def test_a_class_that_only_the_test_part_has_is_refused_by_name(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    save(root / "test" / "dog" / "00.png")
    assert "test has class(es) that train lacks: dog" in refusal(root, tmp_path / "cache")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "data" / "train" / "cat" / "notes.txt").write_text("none yet")
    assert "no images" in refusal(tmp_path / "data", tmp_path / "cache")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    assert "only the class 'cat'" in refusal(
        fill(tmp_path / "data", {"train": 9}, ("cat",)), tmp_path / "cache"
    )


def test_parts_without_train_are_refused(tmp_path: Path) -> None:
    assert "no train/" in refusal(fill(tmp_path / "data", {"val": 9, "test": 9}), tmp_path / "cache")


def test_a_file_as_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"no folder")
    assert "is no folder" in refusal(tmp_path / "data.zip", tmp_path / "cache")


def damage_two(root: Path) -> Path:
    whole = root / "train" / "cat" / "00.png"
    whole.write_bytes(whole.read_bytes()[:60])
    (root / "val" / "bird" / "00.png").write_bytes(b"")
    return root


def test_damaged_images_of_all_parts_are_listed_together(tmp_path: Path) -> None:
    root = damage_two(fill(tmp_path / "data", {"train": 4, "val": 2, "test": 1}))
    message = refusal(root, tmp_path / "cache")
    assert "no image, or of an unknown format" in message
    assert "2 damaged" in message and "train/cat/00.png" in message and "val/bird/00.png" in message
    assert "dataset.skip_damaged=true" in message


def test_damaged_images_can_be_left_out(tmp_path: Path) -> None:
    root = damage_two(fill(tmp_path / "data", {"train": 4, "val": 2, "test": 1}))
    data = load(root, tmp_path / "cache", skip_damaged=True)
    assert sizes(data) == (7, 3, 2)
    assert "left out 2 damaged" in data.notices[0]


def test_a_class_of_damaged_images_alone_counts_as_empty(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 2, "test": 1})
    for path in (root / "val" / "cat").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="validation hold no images: cat"):
        load(root, tmp_path / "cache", skip_damaged=True)


def test_sixteen_bit_images_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 2, "test": 1})
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(root / "test" / "cat" / "00.png")
    assert "more than 8 bits" in refusal(root, tmp_path / "cache")


def test_test_images_that_are_also_training_images_are_told(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 3})
    (root / "test" / "cat" / "01.png").write_bytes((root / "train" / "cat" / "02.png").read_bytes())
    assert "1 of 6 test images are also training images" in load(root, tmp_path / "cache").notices[0]


def test_a_missing_source_says_what_to_name() -> None:
    with pytest.raises(UserError, match="cmae-ablate data prepare folder --source PATH"):
        Folder().cache_key()
