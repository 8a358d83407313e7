"""Accuracies, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmae_ablate.components.evaluations.scoring import top1


def test_top1_is_the_percentage_of_equal_classes() -> None:
    assert top1(torch.tensor([3, 1, 2, 0]), np.array([3, 1, 0, 2])) == 50.0
    assert top1(torch.tensor([1, 1, 0]), np.array([1, 0, 0])) == pytest.approx(200 / 3, rel=1e-15)


def test_predictions_of_other_images_are_no_score() -> None:
    with pytest.raises(AssertionError):
        top1(torch.tensor([1, 1]), np.array([1]))
