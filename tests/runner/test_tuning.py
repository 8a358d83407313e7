"""What a search's tuning may see: no number and no image of the test split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runner.tuning import on_validation, without_test


def test_numbers_on_test_images_are_dropped_and_costs_are_kept() -> None:
    metrics = {
        "knn.top1": 50.0,
        "knn.validation_top1": 40.0,
        "linear_probe.l2": 0.1,
        "linear_probe.validation_top1": 30.0,
        "linear_probe.top1@l2=0.1": 31.0,
        "linear_probe.validation_top1@l2=0.1": 30.0,
        "pretrain.loss": 0.5,
        "pretrain.position.accuracy": 0.9,
        "params.encoder": 10.0,
        "flops.pretrain_image": 11.0,
        "seconds.pretrain": 12.0,
        "memory.pretrain": 13.0,
    }
    hidden = {
        "knn.top1",
        "linear_probe.l2",
        "linear_probe.top1@l2=0.1",
        "linear_probe.validation_top1@l2=0.1",
    }
    assert on_validation(metrics) == {name: value for name, value in metrics.items() if name not in hidden}


def test_validation_images_stand_in_the_place_of_test_images(tiny_data: DataArrays) -> None:
    found = without_test(tiny_data)
    assert np.array_equal(found.test.images, tiny_data.validation.images)
    assert not np.array_equal(found.test.images, tiny_data.test.images)
    # Nothing that is cached for one can be taken for the other.
    assert found.digest != tiny_data.digest
    assert replace(found, test=tiny_data.test, digest=tiny_data.digest) == tiny_data
