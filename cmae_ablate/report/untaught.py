"""Whether pretraining has taught the deciding metric anything, by the random-init control."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.wording import listing

CONTROL = "random init"
ROUNDING = 1e-9
"""Two equal means of percentages may differ in their last bit."""


def untaught(comparison: Comparison, controls: pd.DataFrame | None) -> Iterator[str]:
    """A sentence for the variants whose mean is no better than that of the same encoder untrained."""
    metric = comparison.metric
    if controls is None or metric.name not in controls.columns or "loss" in metric.name:
        return
    drawn = controls[controls["control"] == CONTROL]
    owners = drawn["variant"] if "variant" in drawn.columns else pd.Series("", index=drawn.index)
    by_owner = pd.to_numeric(drawn[metric.name]).groupby(owners.fillna("").astype(str))
    for owner, floor in by_owner.mean().dropna().items():
        below = [
            f"'{effect.variant}'"
            for effect in comparison.effects
            if owner in ("", effect.variant) and effect.paired.mean <= floor + ROUNDING
        ]
        if below:
            yield (
                f"{listing(below)}: no better on average than the encoder before any training "
                f"({metric.text(float(floor))}); train longer, or on more images, before reading differences"
            )
