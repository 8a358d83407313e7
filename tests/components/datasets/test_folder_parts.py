from __future__ import annotations

import pytest

from cmae_ablate.components.datasets.folder_parts import looks_like_a_part, part_of


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("train", ["train", "Train", "TRAIN", "training", "Training", "train_set", "Training-Set"]),
        ("validation", ["val", "VAL", "valid", "Validation", "dev", "Dev", "val set"]),
        ("test", ["test", "Testing", "TEST", "test_set"]),
    ],
)
def test_the_usual_names_are_parts_in_any_case(part: str, names: list[str]) -> None:
    assert [part_of(name) for name in names] == [part] * len(names)


@pytest.mark.parametrize(
    "name",
    [
        *("eval", "Evaluation", "Test2", "test_1", "seg_train", "TestData", "train_images", "trainval"),
        *("x_train", "training_v2", "fold_1", "Fold3", "unlabeled", "private_test", "TRAIN_DATA", "old test"),
    ],
)
def test_what_sounds_like_a_part_is_told_from_classes(name: str) -> None:
    assert looks_like_a_part(name)


@pytest.mark.parametrize(
    "name",
    [
        *("cat", "test tube", "bullet train", "freight_train", "banana split", "raw", "new", "n01443537"),
        *("valley", "training shoe", "latest", "images", "0", "12", "Größe", "犬", "🐈", "old", "dataset"),
    ],
)
def test_classes_are_not_taken_for_parts(name: str) -> None:
    assert not looks_like_a_part(name)
