"""SimMIM's target and loss, with numbers written out."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from cmae_ablate.components.targets.pixels_l1 import PixelL1Target
from cmae_ablate.tokens import PatchMask

MASK = PatchMask(torch.tensor([[1, 0, 3]]), torch.tensor([[2]]))


def test_the_target_is_the_image_itself_row_by_row() -> None:
    images = torch.arange(48.0).reshape(1, 3, 4, 4)
    target = PixelL1Target(2)
    # Patch 2 is the lower left one; channels lie 16 apart.
    wanted = [8.0, 24.0, 40.0, 9.0, 25.0, 41.0, 12.0, 28.0, 44.0, 13.0, 29.0, 45.0]
    assert_close(target(images, MASK), torch.tensor([[wanted]]))
    assert target.dim() == 12


def test_the_loss_is_the_mean_of_absolute_errors() -> None:
    found = PixelL1Target(2).loss(torch.tensor([[[1.0, -3.0]]]), torch.tensor([[[2.0, 1.0]]]))
    assert found.item() == 2.5  # (1 + 4) / 2


def test_patches_may_be_normalised_one_by_one() -> None:
    images = torch.arange(48.0).reshape(1, 3, 4, 4)
    values = PixelL1Target(2, normalize=True)(images, MASK)
    assert values.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert values.std().item() == pytest.approx(1.0, abs=1e-6)
