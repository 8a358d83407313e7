"""What a finished run adds to its report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runner.artifacts import image_clusters


def test_test_images_are_clustered_by_their_source_where_it_is_known_and_else_by_class(
    tiny_data: DataArrays,
) -> None:
    test = tiny_data.test
    sources = np.arange(len(test), dtype=np.int32) % 4
    assert image_clusters(replace(test, groups=sources)).tolist() == sources.tolist()
    assert image_clusters(replace(test, groups=None)).tolist() == test.labels.tolist()
