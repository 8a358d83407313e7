"""How predictions are scored, and the words in which protocols are stated."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FEATURE_WORDS = {"mean": "mean patch token", "cls": "class token"}


def top1(predictions: Tensor, labels: NDArray[np.int64]) -> float:
    """Top-1 accuracy in percent of predicted classes (n,) against labels (n,)."""
    truth = torch.from_numpy(np.asarray(labels))
    assert predictions.shape == truth.shape, (predictions.shape, truth.shape)
    return 100.0 * (predictions.cpu() == truth).double().mean().item()


def feature_words(pooling: str) -> str:
    """Name a frozen feature for a protocol sentence."""
    return f"{FEATURE_WORDS[pooling]} after the encoder's final norm, whole images"
