from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmae_ablate.components.datasets.stl10 import Stl10
from cmae_ablate.data.arrays import DataArrays, prepare
from cmae_ablate.errors import UserError

NAMES = ("airplane", "bird")


@pytest.fixture
def stl10(tmp_path: Path) -> Path:
    root = tmp_path / "stl10_binary"
    root.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 6)):
        (root / f"{part}_X.bin").write_bytes(rng.integers(0, 256, (count, 27648), np.uint8).tobytes())
        (root / f"{part}_y.bin").write_bytes(bytes(1 + number % 2 for number in range(count)))
    (root / "class_names.txt").write_text("\n".join(NAMES) + "\n")
    (root / "unlabeled_X.bin").write_bytes(b"never read")
    return root


def load(source: Path, cache: Path) -> DataArrays:
    return prepare(Stl10(source=str(source)), cache, notice=lambda message: None)


def test_labels_count_from_zero_and_a_tenth_is_held_out(stl10: Path, tmp_path: Path) -> None:
    data = load(stl10, tmp_path / "cache")
    assert (data.class_names, data.image_size) == (NAMES, 96)
    np.testing.assert_array_equal(np.bincount(data.validation.labels), [1, 1])
    np.testing.assert_array_equal(data.test.labels, [0, 1, 0, 1, 0, 1])


def test_pixels_lie_column_by_column_in_the_file(stl10: Path, tmp_path: Path) -> None:
    raw = (stl10 / "test_X.bin").read_bytes()
    image, channel, row, column = 3, 1, 10, 80
    position = ((image * 3 + channel) * 96 + column) * 96 + row
    assert load(stl10, tmp_path / "cache").test.images[image, channel, row, column] == raw[position]


def test_a_truncated_file_is_refused(stl10: Path, tmp_path: Path) -> None:
    path = stl10 / "train_X.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"552959 bytes instead of 552960"):
        load(stl10, tmp_path / "cache")
    assert not [child for child in (tmp_path / "cache").iterdir() if child.is_dir()]


def test_labels_beyond_the_classes_are_refused(stl10: Path, tmp_path: Path) -> None:
    (stl10 / "test_y.bin").write_bytes(bytes([1, 2, 3, 1, 2, 3]))
    with pytest.raises(UserError, match="labels beyond"):
        load(stl10, tmp_path / "cache")


def test_a_missing_source_names_the_archive_and_its_size() -> None:
    with pytest.raises(UserError, match=r"stl10_binary\.tar\.gz \(2\.5 GB\)"):
        Stl10().cache_key()
