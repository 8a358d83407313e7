"""A data set's name and version keep its prepared images from every other's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cmae_ablate.components import registry
from cmae_ablate.components.registry import Registry
from cmae_ablate.data.arrays import ArrayWriter, Progress, prepare
from cmae_ablate.data.dataset import Dataset
from cmae_ablate.errors import UserError
from cmae_ablate.study.choice import Choice


class Grey:
    """Images of one grey level, which its key does not name."""

    level: ClassVar[int] = 10

    def cache_key(self) -> str:
        return "one-level"

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        writer.describe(type(self).__name__, ["a", "b"], 8)
        for split in ("train", "validation", "test"):
            rows = writer.allocate(split, 4)
            rows.images[:] = self.level + np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
            rows.labels[:] = np.arange(4) % 2


class Brighter(Grey):
    level = 200


@pytest.fixture
def grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Choice]:
    """A registered data set, whose cache is empty."""
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tmp_path))
    before = dict(registry.SLOTS)
    del registry.SLOTS["dataset"]
    data_sets: Registry[Dataset] = Registry("dataset")
    data_sets.register("grey", version=1)(Grey)
    data_sets.register("brighter", version=1)(Brighter)
    yield Choice("dataset", "grey", 1, {})
    registry.SLOTS.clear()  # the slots' order is the schema's, too
    registry.SLOTS.update(before)


def test_another_version_prepares_its_images_anew(grey: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    first = grey.prepare()
    monkeypatch.setattr(Grey, "level", 90)
    assert grey.prepare().digest == first.digest  # nothing says that they have changed
    second = replace(grey, version=2).prepare()
    assert (first.train.images.min(), second.train.images.min()) == (10, 90)
    assert second.digest != first.digest
    assert grey.prepare().digest == first.digest  # the older one is there, too


def test_a_data_set_never_finds_the_images_of_another_with_its_key(grey: Choice) -> None:
    other = replace(grey, name="brighter")
    assert [choice.prepare().train.images.min() for choice in (grey, other)] == [10, 200]


@pytest.mark.parametrize("key", ["../escaped", "a/b", "", ".", "..", "/tmp"])
def test_a_key_that_is_no_name_of_a_folder_is_refused_with_whose_it_is(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Grey, "cache_key", lambda self: key)
    with pytest.raises(UserError, match=r"Grey: its cache_key\(\) is "):
        prepare(Grey(), tmp_path / "cache", owner="grey-v1")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache"]
