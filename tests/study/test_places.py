"""Files that are missing are named by the line of the study that asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.loading import load
from tests.study.blocks import blocks
from tests.tiny import TINY_STUDY

TWO = "datasets:\n  one: {name: scenes}\n  two: {name: folder, source: nowhere}\n"
BY_LEVEL = TINY_STUDY.replace("path: decoder", "path: .").replace(
    "linear: {name: linear}", "linear: {dataset: {name: folder, source: nowhere}}"
)
BY_LEVEL = BY_LEVEL.replace("{name: transformer, depth: 1}", "{decoder: {depth: 1}}")


def complaint(path: Path, *settings: str, dataset: str | None = None) -> str:
    """What is said of the last variant's data set."""
    *_, variant = design.variants(load(path, settings=settings, dataset=dataset))
    with pytest.raises(UserError) as caught:
        variant.spec["dataset"].prepare()
    return str(caught.value).replace(str(path), "FILE")


@pytest.mark.parametrize(
    ("study", "added", "settings", "place"),
    [
        (
            TINY_STUDY,
            "set: {dataset: {name: folder, source: nowhere}}\n",
            (),
            "FILE:13:31: set.dataset.source",
        ),
        (BY_LEVEL, "", (), "FILE:9:40: factors.decoder.levels.linear.dataset.source"),
        (TINY_STUDY, "", ("dataset.name=folder", "dataset.source=nowhere"), "--set dataset.source=nowhere"),
    ],
)
def test_a_source_that_does_not_exist_is_named_where_it_is_set(
    tiny_study: Path, study: str, added: str, settings: tuple[str, ...], place: str
) -> None:
    said = complaint(blocks(tiny_study, added, study), *settings)
    assert said.startswith(f"{place}: {Path('nowhere').resolve()} does not exist; correct the path, or ")


def test_of_several_data_sets_the_one_without_files_is_named_by_its_label(tiny_study: Path) -> None:
    said = complaint(blocks(tiny_study, TWO), dataset="two")
    assert said.startswith("FILE:15:23: datasets.two.source: ")


def test_of_several_data_sets_a_setting_of_one_is_named_as_typed(tiny_study: Path) -> None:
    setting = "datasets.two.source=elsewhere"
    assert complaint(blocks(tiny_study, TWO), setting, dataset="two").startswith(f"--set {setting}: ")


@pytest.mark.parametrize(
    ("added", "settings", "place"),
    [
        ("set: {dataset: {name: folder}}\n", (), "FILE:13:7: set.dataset.source"),
        ("set: {dataset: folder}\n", (), "FILE:13:7: set.dataset.source"),
        ("", ("dataset.name=folder",), "--set dataset.name=folder: dataset.source"),
    ],
)
def test_a_source_that_is_left_out_is_named_where_its_data_set_is(
    tiny_study: Path, added: str, settings: tuple[str, ...], place: str
) -> None:
    said = complaint(blocks(tiny_study, added), *settings)
    assert said.startswith(f"{place}: folder needs its files; ")
