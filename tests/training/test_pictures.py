"""Which images are drawn, and that few images are enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.model import assemble
from cmae_ablate.training.pictures import reconstructions, save_reconstructions, spread


@pytest.mark.parametrize(("images", "most"), [(100, 8), (8, 8), (5, 8), (1, 8)])
def test_images_are_drawn_from_the_first_to_the_last_each_once(images: int, most: int) -> None:
    indices = spread(images, most)
    assert len(indices) == len(set(indices.tolist())) == min(images, most)
    assert indices[0] == 0
    assert indices[-1] == (images - 1 if min(images, most) > 1 else 0)


def test_a_split_of_a_few_images_is_drawn_whole(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    model = assemble(tiny_spec, 32)
    indices = spread(3, 8)
    drawn = reconstructions(model, tiny_data, tiny_data.validation, indices, 32, torch.device("cpu"))
    assert drawn.shape == (3, 3, 32, 32, 3)
    first = tiny_data.validation.images[2].transpose(1, 2, 0) / 255
    np.testing.assert_allclose(drawn[2, 0], first, atol=1e-5)
    save_reconstructions(drawn, tmp_path / "few.png")
    with Image.open(tmp_path / "few.png") as picture:
        assert picture.width > picture.height
