"""Pixels of hidden patches, with numbers written out."""

from __future__ import annotations

import math

import torch
from torch.testing import assert_close

from cmae_ablate.components.hidden_pixels import as_pixels, hidden_pixels
from cmae_ablate.tokens import PatchMask

MASK = PatchMask(torch.tensor([[0]]), torch.tensor([[1]]))
# Two patches of one pixel; the hidden one has the channels 1, 2 and 6: mean 3, unbiased variance 7.
IMAGES = torch.tensor([[[[0.0, 1.0]], [[0.0, 2.0]], [[0.0, 6.0]]]])


def test_patches_come_as_they_are_or_by_their_own_mean_and_deviation() -> None:
    assert hidden_pixels(IMAGES, MASK, 1, normalize=False).tolist() == [[[1.0, 2.0, 6.0]]]
    wanted = torch.tensor([[[-2.0, -1.0, 3.0]]]) / math.sqrt(7 + 1e-6)
    assert_close(hidden_pixels(IMAGES, MASK, 1, normalize=True), wanted)


def test_normalised_predictions_are_undone_with_the_true_patch() -> None:
    zeros = torch.zeros(1, 1, 3)
    assert as_pixels(zeros, IMAGES, MASK, 1, normalize=False).tolist() == [[[0.0, 0.0, 0.0]]]
    assert_close(as_pixels(zeros + 1, IMAGES, MASK, 1, normalize=True), zeros + 3 + math.sqrt(7 + 1e-6))
