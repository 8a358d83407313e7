"""Whether pretraining has taught a metric anything: every variant against its encoder before any training."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from cmae_ablate.report.controls import RANDOM_INIT, RAW_PIXELS, against_control, control_values
from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.stats import ALPHA, Paired
from cmae_ablate.report.wording import Metric, in_quotes, listing


def baseline_check(comparison: Comparison, controls: pd.DataFrame | None) -> Iterator[str]:
    """A sentence for the variants that do not differ detectably from the same encoder untrained.

    And one for a reference that does not differ detectably from raw pixels. Both are paired by seed.
    """
    metric, reference = comparison.metric, comparison.description.reference
    below = []
    for effect in comparison.effects:
        values = control_values(controls, RANDOM_INIT, effect.variant, metric)
        result = against_control(comparison, effect.variant, values)
        if result.n and not _is_better(result, metric):
            below.append(f"{in_quotes(effect.variant)} ({_size(result, metric)})")
    if below:
        yield (
            f"{listing(below)}: no detectable gain in {metric.words} over the same encoder before any "
            "training; train longer, or on more images, before reading differences"
        )
    pixels = control_values(controls, RAW_PIXELS, reference, metric)
    result = against_control(comparison, reference, pixels)
    if result.n and not _is_better(result, metric):
        yield (
            f"{in_quotes(reference)} ({_size(result, metric)}): no detectable gain in {metric.words} over "
            "raw pixels"
        )


def _size(result: Paired, metric: Metric) -> str:
    interval = "" if result.noiseless else metric.interval(result.ci_low, result.ci_high)
    return " ".join(filter(None, [f"{metric.signed(result.delta)}{metric.unit}", interval]))


def _is_better(result: Paired, metric: Metric) -> bool:
    """Better than the control by a test; by its sign where a single pair, or no noise, leaves no test."""
    better = result.delta < 0 if metric.lower_is_better else result.delta > 0
    return better and (result.n < 2 or result.noiseless or result.p < ALPHA)
