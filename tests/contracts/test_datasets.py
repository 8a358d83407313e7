"""What every registered data set must hold; each needs a small source here, as none can be made up for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.protocols import DATASETS
from cmae_ablate.components.registry import ComponentSpec
from cmae_ablate.data.arrays import SPLITS, ArrayWriter, DataArrays, Dataset, Split, prepare
from tests.components.datasets.test_cifar import cifar10, cifar100
from tests.components.datasets.test_folder import fill
from tests.components.datasets.test_stl10 import stl10
from tests.components.datasets.test_tiny_imagenet import official
from tests.contracts.cases import each

load_components()
# Imported as fixtures: pytest finds them by name in this module.
FIXTURES = (cifar10, cifar100, official, stl10)
SOURCES: dict[str, Callable[[pytest.FixtureRequest], dict[str, object]]] = {
    "cifar10": lambda request: {"source": str(request.getfixturevalue("cifar10"))},
    "cifar100": lambda request: {"source": str(request.getfixturevalue("cifar100"))},
    "folder": lambda request: {
        "source": str(
            fill(request.getfixturevalue("tmp_path") / "images", {"train": 5, "val": 3, "test": 3})
        ),
        "image_size": 33,
    },
    "scenes": lambda request: {
        **{"num_train": 64, "num_validation": 32, "num_test": 32},
        "image_size": 32,
    },
    "stl10": lambda request: {"source": str(request.getfixturevalue("stl10"))},
    "tiny_imagenet": lambda request: {
        "source": str(request.getfixturevalue("official")),
        "validation_fraction": 0.2,
    },
}
EVERY = each(DATASETS)
Component = ComponentSpec[Dataset]


@pytest.fixture
def options(component: Component, request: pytest.FixtureRequest) -> dict[str, object]:
    assert component.name in SOURCES, f"{component.name}: add a small source of it to SOURCES in this file"
    return SOURCES[component.name](request)


def read(component: Component, options: dict[str, object], cache: Path) -> DataArrays:
    return prepare(component.build(options), cache, notice=lambda message: None)


@EVERY
def test_every_split_has_images_labels_and_boxes_of_one_length_and_in_range(
    component: Component, options: dict[str, object], tmp_path: Path
) -> None:
    data = read(component, options, tmp_path / "cache")
    for split in (data.train, data.validation, data.test):
        assert split.images.shape == (len(split), 3, data.image_size, data.image_size)
        assert split.images.dtype == np.uint8
        assert split.labels.shape == (len(split),)
        assert len(split) > 0
        assert 0 <= split.labels.min() <= split.labels.max() < data.num_classes
        assert split.boxes.shape == (len(split), 4)
        known = split.boxes[~np.isnan(split.boxes).any(axis=1)]
        assert ((known >= 0) & (known <= 1)).all()
        assert (known[:, :2] < known[:, 2:]).all()
        assert np.isnan(split.boxes).any(axis=1).sum() == np.isnan(split.boxes).all(axis=1).sum()


@EVERY
def test_no_image_is_in_two_splits(component: Component, options: dict[str, object], tmp_path: Path) -> None:
    data = read(component, options, tmp_path / "cache")
    splits = [
        {image.tobytes() for image in split.images} for split in (data.train, data.validation, data.test)
    ]
    assert not splits[0] & splits[1]
    assert not splits[0] & splits[2]
    assert not splits[1] & splits[2]


@EVERY
def test_prepared_twice_it_is_the_same_and_nobody_elses_generator_is_drawn_from(
    component: Component, options: dict[str, object], tmp_path: Path
) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    first, second = (read(component, options, tmp_path / name) for name in ("one", "two"))
    following = torch.rand(()).item(), np.random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    assert following == (torch.rand(()).item(), np.random.random())
    assert first.digest == second.digest
    assert (first.mean, first.std, first.class_names) == (second.mean, second.std, second.class_names)


@EVERY
def test_mean_and_deviation_are_those_of_the_training_images_alone(
    component: Component, options: dict[str, object], tmp_path: Path
) -> None:
    data = read(component, options, tmp_path / "cache")
    pixels = data.train.images.astype(np.float64) / 255
    np.testing.assert_allclose(data.mean, pixels.mean(axis=(0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(data.std, pixels.std(axis=(0, 2, 3)), atol=1e-5)


@EVERY
def test_every_file_of_a_source_is_used_or_left_out_for_a_reason(
    component: Component, options: dict[str, object], tmp_path: Path
) -> None:
    data = read(component, options, tmp_path / "cache")
    if "source" not in options:
        assert data.account is None  # generated: there are no files
        return
    source = Path(str(options["source"]))
    (source / "Thumbs.db").write_bytes(b"thumbnails")
    (source / "gone").symlink_to(tmp_path / "nowhere")
    account = read(component, options, tmp_path / "again").account
    assert account is not None and account.used > 0
    assert account.found == sum(path.is_file() or path.is_symlink() for path in source.rglob("*"))
    assert account.found == account.used + sum(entry.count for entry in account.left_out)
    assert {"Thumbs.db", "gone"} <= {entry.example for entry in account.left_out}


@EVERY
@pytest.mark.parametrize("pair", list(itertools.combinations(SPLITS, 2)), ids="-".join)
def test_images_that_two_parts_share_are_told_and_kept(
    component: Component,
    options: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pair: tuple[str, str],
) -> None:
    honest = read(component, options, tmp_path / "cache")
    written: dict[str, Split] = {}
    allocate, finish = ArrayWriter.allocate, ArrayWriter.finish

    def noting(writer: ArrayWriter, split: str, *args: Any, **keywords: Any) -> Split:
        written[split] = allocate(writer, split, *args, **keywords)
        return written[split]

    def leaking(writer: ArrayWriter) -> None:
        written[pair[1]].images[0] = written[pair[0]].images[1]
        finish(writer)

    monkeypatch.setattr(ArrayWriter, "allocate", noting)
    monkeypatch.setattr(ArrayWriter, "finish", leaking)
    data = read(component, options, tmp_path / "again")
    new = [notice for notice in data.notices if notice not in honest.notices]
    later = honest.validation if pair[1] == "validation" else honest.test
    kind = "training" if pair[0] == "train" else pair[0]
    assert any(notice.startswith(f"1 of {len(later)} {pair[1]} images are also {kind}") for notice in new)
    assert len(data.test) == len(honest.test)
