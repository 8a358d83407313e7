"""What the numbers allow to say about one comparison, in words; never 'not significant'."""

from __future__ import annotations

import math

from cmae_ablate.report.effects import DECLARED, REFERENCE, Effect
from cmae_ablate.report.stats import ALPHA
from cmae_ablate.report.wording import PLUS_MINUS, Metric, counted


def is_told(effect: Effect) -> bool:
    """A declared difference that Holm's correction leaves below 5 %, with noise to judge it by."""
    return effect.p_holm < ALPHA and not effect.paired.noiseless


def is_equal(effect: Effect) -> bool:
    """A declared comparison whose two one-sided tests, Holm-corrected, keep it inside the margin."""
    return effect.equivalence_p_holm < ALPHA and not effect.paired.noiseless


def verdict(effect: Effect, metric: Metric, margin: float | None) -> str:
    """A short phrase for a table's cell."""
    cannot = _cannot_be_tested(effect)
    if effect.family == REFERENCE or cannot:
        return cannot or "reference"
    if effect.family != DECLARED:
        seen = "a hint at most" if effect.paired.p < ALPHA else too_small(effect, metric)
        return f"exploratory: {seen}"
    phrases = []
    if is_told(effect):
        phrases.append("higher" if effect.paired.delta > 0 else "lower")
    if margin is not None and is_equal(effect):
        phrases.append(f"equal within {PLUS_MINUS}{metric.text(margin)}{metric.unit}")
    return ", ".join(phrases) or too_small(effect, metric)


def _cannot_be_tested(effect: Effect) -> str:
    """Why no test is possible, or nothing."""
    result = effect.paired
    if effect.family == REFERENCE:
        return ""
    if result.n < 2:
        return "n too small: a single paired seed" if result.n else "no paired seed"
    if result.noiseless:
        return (
            "identical numbers"
            if result.delta == 0
            else "the same difference in every seed, no noise to test by"
        )
    return ""


def too_small(effect: Effect, metric: Metric) -> str:
    """How many seeds would tell, where the present ones do not."""
    size = f"{metric.text(effect.effect_of_interest)}{metric.unit}"
    if math.isinf(effect.required_pairs):
        return f"n too small to tell: no feasible number of seeds would tell {size}"
    if effect.required_pairs > effect.paired.n:
        needed = f"about {effect.required_pairs:,.0f} paired seeds"
        return f"n too small to tell: {needed} would tell a difference of {size} at 80 %"
    if effect.paired.p < ALPHA:
        return "n too small to tell among this many comparisons"
    return f"not told apart, though {counted(effect.paired.n, 'paired seed')} would tell {size} at 80 %"
