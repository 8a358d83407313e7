from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmae_ablate.components.datasets.tiny_imagenet import TinyImageNet
from cmae_ablate.data.arrays import DataArrays, prepare
from cmae_ablate.errors import UserError

REAL = Path(__file__).parents[4] / "shared" / "data" / "tiny-imagenet-200.zip"
CLASSES = {"n01": "goldfish, Carassius", "n02": "crane, bird", "n03": "crane, machine"}
PER_CLASS = 5


def jpeg(color: tuple[int, int, int], mode: str = "RGB", size: int = 64) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), color).convert(mode).save(file, "JPEG", quality=95)
    return file.getvalue()


def write_official(root: Path) -> Path:
    """A folder in the official layout: three classes with images, a fourth only listed."""
    for number, wnid in enumerate(CLASSES):
        images = root / "train" / wnid / "images"
        images.mkdir(parents=True)
        lines = []
        for image in range(PER_CLASS):
            images.joinpath(f"{wnid}_{image}.JPEG").write_bytes(jpeg((80 * number, 10 * image, 0)))
            lines.append(f"{wnid}_{image}.JPEG\t0\t16\t31\t63")
        images.parent.joinpath(f"{wnid}_boxes.txt").write_text("\n".join(lines) + "\n")
    (root / "val" / "images").mkdir(parents=True)
    annotations = []
    for number, wnid in enumerate(CLASSES):
        name = f"val_{number}.JPEG"
        (root / "val" / "images" / name).write_bytes(jpeg((80 * number, 0, 200)))
        annotations.append(f"{name}\t{wnid}\t4\t8\t11\t23")
    (root / "val" / "val_annotations.txt").write_text("\n".join(annotations) + "\n")
    (root / "wnids.txt").write_text("\n".join([*CLASSES, "n99"]) + "\n")
    (root / "words.txt").write_text("".join(f"{wnid}\t{words}\n" for wnid, words in CLASSES.items()))
    return root


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return write_official(tmp_path / "tiny-imagenet-200")


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))


def load(source: Path, cache: Path, **options: float) -> DataArrays:
    dataset = TinyImageNet(source=str(source), **options)  # type: ignore[arg-type]  # of one kind per test
    return prepare(dataset, cache, notice=lambda message: None)


def refusal(source: Path, cache: Path) -> str:
    """The message, after making sure that nothing is left in the cache."""
    with pytest.raises(UserError) as caught:
        load(source, cache)
    assert not [path for path in cache.iterdir() if path.is_dir()]
    return str(caught.value)


def test_classes_are_those_with_images_and_the_rest_is_told(official: Path, tmp_path: Path) -> None:
    data = load(official, tmp_path / "cache")
    assert data.class_names == ("goldfish", "crane (n02)", "crane (n03)")
    assert "n99" in data.notices[0]


def test_the_official_validation_part_is_the_test_part(official: Path, tmp_path: Path) -> None:
    data = load(official, tmp_path / "cache")
    np.testing.assert_array_equal(data.test.labels, [0, 1, 2])
    assert (data.test.images[:, 2] > 180).all()


def test_validation_is_a_part_of_every_class(official: Path, tmp_path: Path) -> None:
    data = load(official, tmp_path / "cache", validation_fraction=0.4)
    np.testing.assert_array_equal(np.bincount(data.validation.labels), [2, 2, 2])
    np.testing.assert_array_equal(np.bincount(data.train.labels), [3, 3, 3])


def test_no_training_image_is_lost_or_doubled_by_the_held_out_part(official: Path, tmp_path: Path) -> None:
    data = load(official, tmp_path / "cache", validation_fraction=0.4)
    colors = np.concatenate([data.train.images[:, :2, 5, 5], data.validation.images[:, :2, 5, 5]])
    assert len({tuple(color) for color in colors}) == len(colors) == 3 * PER_CLASS


def test_boxes_become_fractions_with_the_last_pixel_included(official: Path, tmp_path: Path) -> None:
    data = load(official, tmp_path / "cache")
    np.testing.assert_allclose(data.train.boxes[0], (16 / 64, 0, 1, 32 / 64))
    np.testing.assert_allclose(data.test.boxes[0], (8 / 64, 4 / 64, 24 / 64, 12 / 64))


def test_an_impossible_box_is_unknown(official: Path, tmp_path: Path) -> None:
    (official / "train" / "n01" / "n01_boxes.txt").write_text("n01_0.JPEG\t40\t0\t10\t63\n")
    data = load(official, tmp_path / "cache")
    assert np.isnan(data.train.boxes[data.train.labels == 0]).all()
    assert np.isfinite(data.train.boxes[data.train.labels == 1]).all()


def test_zip_and_folder_give_the_same_data(official: Path, tmp_path: Path) -> None:
    archive = zipped(official)
    assert load(archive, tmp_path / "a").digest == load(official, tmp_path / "b").digest


def test_greyscale_images_get_three_equal_channels(official: Path, tmp_path: Path) -> None:
    for path in (official / "val" / "images").iterdir():
        path.write_bytes(jpeg((90, 90, 90), "L"))
    images = load(official, tmp_path / "cache").test.images
    assert (images == images[:, :1]).all() and abs(int(images[0, 0, 0, 0]) - 90) <= 1


def test_the_first_classes_can_be_taken_alone(official: Path, tmp_path: Path) -> None:
    data = load(official, tmp_path / "cache", limit_classes=2)
    assert (data.num_classes, len(data.test), int(data.train.labels.max())) == (2, 2, 1)


def test_a_missing_source_says_what_to_download_and_run() -> None:
    with pytest.raises(UserError) as caught:
        TinyImageNet().cache_key()
    for part in (
        "cs231n.stanford.edu/tiny-imagenet-200.zip",
        "237 MB",
        "cmae-ablate data prepare tiny_imagenet",
    ):
        assert part in str(caught.value)


def test_a_source_that_is_not_there_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=str(tmp_path / "nowhere.zip")):
        TinyImageNet(source="nowhere.zip").cache_key()


def test_damaged_images_are_counted_and_the_first_five_listed(official: Path, tmp_path: Path) -> None:
    for path in (official / "train" / "n01" / "images").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    for path in (official / "val" / "images").iterdir():
        path.write_bytes(b"no image")
    message = refusal(official, tmp_path / "cache")
    assert "8 damaged" in message and message.count(".JPEG: ") == 5 and "3 more" in message


def test_images_of_another_size_are_refused(official: Path, tmp_path: Path) -> None:
    (official / "val" / "images" / "val_1.JPEG").write_bytes(jpeg((0, 0, 0), size=32))
    assert "val_1.JPEG: 32 x 32 pixels instead of 64 x 64" in refusal(official, tmp_path / "cache")


def test_a_lost_validation_image_is_named(official: Path, tmp_path: Path) -> None:
    (official / "val" / "images" / "val_2.JPEG").unlink()
    assert "val_2.JPEG" in refusal(official, tmp_path / "cache")


@pytest.mark.parametrize("name", ["wnids.txt", "words.txt", "val_annotations.txt"])
def test_a_folder_in_another_layout_is_refused(official: Path, tmp_path: Path, name: str) -> None:
    next(official.rglob(name)).unlink()
    message = refusal(official, tmp_path / "cache")
    assert name in message and "official layout" in message


def test_a_truncated_zip_is_refused(official: Path, tmp_path: Path) -> None:
    archive = zipped(official)
    archive.write_bytes(archive.read_bytes()[:-100])
    assert "download it again" in refusal(archive, tmp_path / "cache")


def test_a_flipped_byte_in_a_zip_is_found(official: Path, tmp_path: Path) -> None:
    archive = zipped(official)
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo("tiny-imagenet-200/val/images/val_0.JPEG")
    contents = bytearray(archive.read_bytes())
    contents[member.header_offset + 30 + len(member.filename) + 40] ^= 0xFF
    archive.write_bytes(contents)
    assert "val_0.JPEG" in refusal(archive, tmp_path / "cache")


def test_members_that_point_outside_write_nothing(official: Path, tmp_path: Path) -> None:
    archive = zipped(official)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("../../evil.JPEG", b"evil")
        opened.writestr("tiny-imagenet-200/train/n01/images/../../../../evil.JPEG", b"evil")
    load(archive, tmp_path / "cache")
    assert not list(tmp_path.parent.rglob("evil.JPEG"))


def test_another_version_of_the_source_is_prepared_anew(official: Path, tmp_path: Path) -> None:
    before = TinyImageNet(source=str(official)).cache_key()
    (official / "val" / "images" / "val_0.JPEG").write_bytes(jpeg((1, 2, 3)) + b" ")
    assert TinyImageNet(source=str(official)).cache_key() != before


@pytest.mark.skipif(not REAL.is_file(), reason=f"no real Tiny-ImageNet at {REAL}")
def test_two_classes_of_the_real_archive_are_read(tmp_path: Path) -> None:
    data = load(REAL, tmp_path, limit_classes=2)
    assert data.class_names == ("goldfish", "bullfrog")
    assert (len(data.train), len(data.validation), len(data.test)) == (360, 40, 100)
    assert np.isfinite(data.train.boxes).all() and np.isfinite(data.test.boxes).all()
    assert 0.3 < data.mean[2] < data.mean[0] < 0.7
