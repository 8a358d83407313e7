"""How predictions are scored, and the words in which protocols are stated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmae_ablate.data.arrays import DataArrays

FEATURE_WORDS = {"mean": "mean patch token", "cls": "class token"}


def top1(predictions: Tensor, labels: NDArray[np.int64]) -> float:
    """Top-1 accuracy in percent of predicted classes (n,) against labels (n,)."""
    truth = torch.from_numpy(np.asarray(labels))
    assert predictions.shape == truth.shape, (predictions.shape, truth.shape)
    return 100.0 * (predictions.cpu() == truth).double().mean().item()


def accuracies(predictions: Mapping[str, Tensor], data: DataArrays) -> dict[str, float]:
    """`top1` on test and `validation_top1`, in percent.

    Args:
        predictions: Classes by part, `validation` and `test`, each (n,).
        data: Its parts' labels are the truth.
    """
    return {
        "top1": top1(predictions["test"], data.test.labels),
        "validation_top1": top1(predictions["validation"], data.validation.labels),
    }


def feature_words(pooling: str) -> str:
    """Name a frozen feature for a protocol sentence."""
    return f"{FEATURE_WORDS[pooling]} after the encoder's final norm, whole images"
