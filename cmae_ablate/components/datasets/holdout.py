"""Parts of a training set held out for choices and tests, by a rule that no trial's seed changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def hold_out(labels: NDArray[np.int64], fractions: Sequence[float]) -> NDArray[np.int64]:
    """Divide images class by class.

    Args:
        labels: Class of each image, (n,).
        fractions: Part of each class that goes to parts 1, 2, ...; each gets at least one image.

    Returns:
        Part of each image, (n,): 0 is what remains for training.

    Raises:
        ValueError: A class has too few images; the message is its label.
    """
    parts = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        # Files often lie in the order they were taken; a fixed shuffle keeps series from being split off.
        shuffled = np.random.default_rng(int(label)).permutation(members)
        start = 0
        for part, fraction in enumerate(fractions, 1):
            count = max(1, round(fraction * len(members)))
            parts[shuffled[start : start + count]] = part
            start += count
        if start >= len(members):
            raise ValueError(label)
    return parts
