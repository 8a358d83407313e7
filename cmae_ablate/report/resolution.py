"""How fine a metric is, and whether two encoders are one: what a tie in the numbers can mean."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

MOST_IMAGES = 20_000
DISTINCT = 64
"""Distinct values that are looked at: a few already rule out every wrong number of images."""


def same_weights(rows: pd.DataFrame, variant: str, against: str, seeds: Iterable[int]) -> bool:
    """Whether both variants' encoders have equal, known `weights_sha256` under each of the seeds.

    Args:
        rows: Columns `variant, seed` and, where known, `weights_sha256`; a variant has a seed once.
        seeds: The paired seeds; without any nothing is the same.
    """
    if "weights_sha256" not in rows.columns:
        return False
    keys = zip(rows["variant"], rows["seed"], strict=True)
    known = dict(zip(keys, rows["weights_sha256"].fillna("").astype(str), strict=True))
    wanted = [(known.get((variant, seed), ""), known.get((against, seed), "")) for seed in seeds]
    return bool(wanted) and all(ours == theirs != "" for ours, theirs in wanted)


def one_image(values: pd.DataFrame, num_images: int | None = None) -> float:
    """What one test image is worth in a metric in percent.

    Args:
        values: The metric, NaN where a cell is missing.
        num_images: Number of test images, where the predictions were kept.

    Returns:
        In points: 100 / `num_images`; without it the largest step that all values are whole multiples of,
        which one image is at most worth; NaN where there is none above 100 / 20,000.
    """
    if num_images:
        return 100 / num_images
    found = np.unique(values.to_numpy(dtype=np.float64, na_value=math.nan))
    found = found[np.isfinite(found)][:DISTINCT]
    if not len(found) or not found.any():
        return math.nan
    counts = np.arange(1, MOST_IMAGES)
    for value in found:
        correct = value * counts / 100
        counts = counts[np.abs(correct - np.round(correct)) < 1e-6]
    return float(100 / counts[0]) if len(counts) else math.nan
