"""Whether pretraining has taught a metric anything: every variant against its encoder before any training."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from cmae_ablate.report.controls import RANDOM_INIT, RAW_PIXELS, against_control, control_values
from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.stats import ALPHA, Paired
from cmae_ablate.report.wording import Metric, in_quotes, listing


def baseline_check(comparison: Comparison, controls: pd.DataFrame | None) -> Iterator[str]:
    """A sentence for the variants that do not read better than the same encoder untrained.

    And one for a reference that does not read better than raw pixels. Both are paired by seed, and tell a
    gain that is not detected from a loss that is.
    """
    metric, reference = comparison.metric, comparison.description.reference
    level: list[str] = []
    worse: list[str] = []
    for effect in comparison.effects:
        values = control_values(controls, RANDOM_INIT, effect.variant, metric)
        result = against_control(comparison, effect.variant, values)
        if result.n and not _is_better(result, metric):
            found = worse if _is_detected(result) else level
            found.append(f"{in_quotes(effect.variant)} ({_size(result, metric)})")
    for found, relation in ((level, _no_gain(metric)), (worse, _loss(metric))):
        if found:
            yield (
                f"{listing(found)}: {relation} the same encoder before any training; train longer, or on "
                "more images, before reading differences"
            )
    pixels = control_values(controls, RAW_PIXELS, reference, metric)
    result = against_control(comparison, reference, pixels)
    if result.n and not _is_better(result, metric):
        relation = _loss(metric) if _is_detected(result) else _no_gain(metric)
        yield f"{in_quotes(reference)} ({_size(result, metric)}): {relation} raw pixels"


def _no_gain(metric: Metric) -> str:
    return f"no detectable gain in {metric.words} over"


def _loss(metric: Metric) -> str:
    return f"detectably worse in {metric.words} than"


def _size(result: Paired, metric: Metric) -> str:
    interval = "" if result.noiseless else metric.interval(result.ci_low, result.ci_high)
    return " ".join(filter(None, [f"{metric.signed(result.delta)}{metric.unit}", interval]))


def _is_better(result: Paired, metric: Metric) -> bool:
    """Better than the control by a test; by its sign where a single pair, or no noise, leaves no test."""
    better = result.delta < 0 if metric.lower_is_better else result.delta > 0
    return better and (result.n < 2 or result.noiseless or _is_detected(result))


def _is_detected(result: Paired) -> bool:
    return result.n > 1 and not result.noiseless and result.p < ALPHA
