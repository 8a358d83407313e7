from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cmae_ablate.components.datasets.cifar import Cifar10, Cifar100
from cmae_ablate.data.arrays import DataArrays, prepare
from cmae_ablate.errors import UserError

PER_BATCH = 20


def dump(path: Path, contents: object) -> None:
    path.write_bytes(pickle.dumps(contents, protocol=4))


def rows(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (PER_BATCH, 3072), np.uint8)


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    root = tmp_path / "cifar-10-batches-py"
    root.mkdir()
    labels = [number % 10 for number in range(PER_BATCH)]
    for number in range(1, 6):
        dump(root / f"data_batch_{number}", {"data": rows(number), "labels": labels})
    dump(root / "test_batch", {"data": rows(6), "labels": labels})
    dump(root / "batches.meta", {"label_names": [f"class {number}" for number in range(10)]})
    return root


@pytest.fixture
def cifar100(tmp_path: Path) -> Path:
    root = tmp_path / "cifar-100-python"
    root.mkdir()
    for part, seed in (("train", 1), ("test", 2)):
        labels = [number // 4 for number in range(PER_BATCH)]
        dump(root / part, {"data": rows(seed), "fine_labels": labels, "coarse_labels": [0] * PER_BATCH})
    names = [f"fine {number}" for number in range(100)]
    dump(root / "meta", {"fine_label_names": names, "coarse_label_names": ["all"]})
    return root


def load(source: Path, cache: Path) -> DataArrays:
    return prepare(Cifar10(source=str(source)), cache, notice=lambda message: None)


def refusal(source: Path, cache: Path) -> str:
    """The message, after making sure that nothing is left in the cache."""
    with pytest.raises(UserError) as caught:
        load(source, cache)
    assert not [path for path in cache.iterdir() if path.is_dir()]
    return str(caught.value)


def test_cifar10_has_its_batches_in_order_and_a_tenth_held_out(cifar10: Path, tmp_path: Path) -> None:
    data = load(cifar10, tmp_path / "cache")
    np.testing.assert_array_equal(np.bincount(data.train.labels), [9] * 10)
    np.testing.assert_array_equal(np.bincount(data.validation.labels), [1] * 10)
    np.testing.assert_array_equal(data.test.images, rows(6).reshape(-1, 3, 32, 32))
    assert data.class_names[3] == "class 3"


def test_no_image_of_train_is_lost(cifar10: Path, tmp_path: Path) -> None:
    data = load(cifar10, tmp_path / "cache")
    found = {image.tobytes() for split in (data.train, data.validation) for image in split.images}
    assert found == {row.tobytes() for number in range(1, 6) for row in rows(number)}


@pytest.mark.parametrize("suffix", ["tar.gz", "tar"])
def test_the_archive_gives_the_same_data_as_the_folder(cifar10: Path, tmp_path: Path, suffix: str) -> None:
    archive = tmp_path / f"cifar-10-python.{suffix}"
    with tarfile.open(archive, "w:gz" if suffix == "tar.gz" else "w") as opened:
        opened.add(cifar10, cifar10.name)
    assert load(archive, tmp_path / "a").digest == load(cifar10, tmp_path / "b").digest


def test_the_folder_above_serves_too_as_torchvision_names_it(cifar10: Path, tmp_path: Path) -> None:
    assert load(cifar10.parent, tmp_path / "a").digest == load(cifar10, tmp_path / "b").digest


def test_cifar100_takes_the_fine_classes(cifar100: Path, tmp_path: Path) -> None:
    data = prepare(Cifar100(source=str(cifar100)), tmp_path / "cache", notice=lambda message: None)
    assert (data.num_classes, len(data.train), len(data.validation)) == (100, 15, 5)
    np.testing.assert_array_equal(data.test.labels, np.arange(PER_BATCH) // 4)


class Attack:
    """A pickle that would run a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(cifar10: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    dump(cifar10 / "data_batch_2", {"data": rows(2), "labels": Attack(marker)})
    message = refusal(cifar10, tmp_path / "cache")
    assert "data_batch_2" in message and "system" in message
    assert not marker.exists()


@pytest.mark.parametrize(
    "contents",
    [
        {"data": rows(2)[:, :99], "labels": [0] * PER_BATCH},
        {"data": rows(2), "labels": [0]},
        {"data": rows(2), "labels": ["0"] * PER_BATCH},
        {"data": rows(2).astype(np.float32), "labels": [0] * PER_BATCH},
        {"data": rows(2), "labels": [10] * PER_BATCH},
        ["no dictionary"],
    ],
)
def test_a_batch_of_another_form_is_refused(cifar10: Path, tmp_path: Path, contents: object) -> None:
    dump(cifar10 / "data_batch_2", contents)
    assert "download" in refusal(cifar10, tmp_path / "cache")


def test_a_truncated_batch_is_refused_by_name(cifar10: Path, tmp_path: Path) -> None:
    path = cifar10 / "test_batch"
    path.write_bytes(path.read_bytes()[:1000])
    assert "test_batch" in refusal(cifar10, tmp_path / "cache")


def test_a_lost_batch_is_named_with_what_to_download(cifar10: Path, tmp_path: Path) -> None:
    (cifar10 / "data_batch_4").unlink()
    message = refusal(cifar10, tmp_path / "cache")
    assert "no file 'data_batch_4'" in message and "cifar-10-python.tar.gz" in message


def test_a_truncated_archive_is_refused(cifar10: Path, tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        opened.add(cifar10, cifar10.name)
    archive.write_bytes(archive.read_bytes()[:20_000])
    assert "download it again" in refusal(archive, tmp_path / "cache")


def test_a_missing_source_names_the_official_page() -> None:
    with pytest.raises(UserError, match=r"cs\.toronto\.edu"):
        Cifar100().cache_key()
