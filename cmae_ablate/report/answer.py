"""The study's answer in one sentence: direction, size, interval, n, whether it tells, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cmae_ablate.report.cells import Cells, cost_of
from cmae_ablate.report.effects import Comparison, Effect
from cmae_ablate.report.verdict import is_equal, is_told, verdict
from cmae_ablate.report.wording import listing, p_phrase, ratio, shortened

LABEL_WIDTH = 60
SHOWN = 3
COSTS = (("seconds.pretrain", "the pretraining time"), ("flops.pretrain_image", "the FLOPs"))


def answer(comparison: Comparison, cells: Cells) -> str:
    """One sentence that the numbers support; a null result is stated as one."""
    declared, reference = comparison.declared, quoted(comparison.reference.variant)
    if comparison.reference.paired.n == 0:
        return f"No answer yet: the reference {reference} has no complete cell."
    if not declared:
        return f"No answer: nothing is compared with {reference}."
    if all(effect.paired.n == 0 for effect in declared):
        return "No answer yet: no compared pair has a complete seed in common."
    if len(declared) == 1:
        return _single(declared[0], comparison, cells)
    return _several(declared, comparison, cells)


def quoted(label: str) -> str:
    """A label in typographic quotes, not too long for a sentence."""
    return f"\u2018{shortened(label, LABEL_WIDTH)}\u2019"


def _single(effect: Effect, comparison: Comparison, cells: Cells) -> str:
    metric, result = comparison.metric, effect.paired
    ours, theirs = quoted(effect.variant), quoted(effect.against)
    words = verdict(effect, metric, comparison.description.equivalence_margin)
    cost = _cost(effect, cells)
    if result.n == 1:
        return (
            f"n too small: on a single paired seed {ours} differs from {theirs} by "
            f"{metric.signed(result.delta)}{metric.unit} in {metric.words}, and one seed gives no interval."
        )
    if result.noiseless and result.delta == 0:
        same = f"identical {metric.words} in all {result.n} paired seeds"
        return f"{ours} and {theirs} have {same}: a difference of exactly 0."
    if is_told(effect):
        direction = "higher" if result.delta > 0 else "lower"
        equal = f", yet {words.partition(', ')[2]}" if is_equal(effect) else ""
        return (
            f"{ours} has a {direction} {metric.words} than {theirs}: "
            f"{_size(effect, comparison)}, Holm p {p_phrase(effect.p_holm)}{equal}{cost}."
        )
    size = _size(effect, comparison)
    return f"{ours} is not told apart from {theirs} in {metric.words}: {size}{cost}; {words}."


def _several(declared: Sequence[Effect], comparison: Comparison, cells: Cells) -> str:
    told = sorted((e for e in declared if is_told(e)), key=lambda e: -abs(e.paired.delta))
    all_to_reference = {e.against for e in declared} == {comparison.reference.variant}
    apart = f" apart from {quoted(comparison.reference.variant)}" if all_to_reference else " apart"
    what = "variants" if all_to_reference else "contrasts"
    clauses = [
        f"In {comparison.metric.words}, {len(told) or 'none'} of {len(declared)} {what} "
        f"{'is' if len(told) == 1 else 'are'} told{apart}"
    ]
    parts = [
        f"{_name(e, comparison)} {_size(e, comparison)}, Holm p {p_phrase(e.p_holm)}{_cost(e, cells)}"
        for e in told[:SHOWN]
    ]
    if len(told) > SHOWN:
        parts.append(f"{len(told) - SHOWN} more in the table")
    if parts:
        clauses[0] += f" ({'; '.join(parts)})"
    clauses += _untold([e for e in declared if not is_told(e)], comparison, cells)
    return f"{'; '.join(clauses)}."


def _untold(effects: Sequence[Effect], comparison: Comparison, cells: Cells) -> list[str]:
    """The comparisons that tell no difference, grouped by the reason."""
    groups: dict[str, list[Effect]] = {}
    for effect in effects:
        groups.setdefault(_reason(effect, comparison), []).append(effect)
    clauses = []
    for reason, members in groups.items():
        if len(members) <= SHOWN:
            names = listing([f"{_name(e, comparison)}{_in_brackets(e, comparison, cells)}" for e in members])
        else:
            names = listing([_name(e, comparison) for e in members], SHOWN)
            names += _span(members, comparison)
        clauses.append(f"{names}: {reason}{_seeds_that_tell(members, comparison)}")
    return clauses


def _reason(effect: Effect, comparison: Comparison) -> str:
    result = effect.paired
    untestable = result.n < 2 or result.noiseless
    if untestable or is_equal(effect):
        return verdict(effect, comparison.metric, comparison.description.equivalence_margin)
    if effect.required_pairs > result.n:
        return f"n too small to tell with {result.n} paired seeds"
    return f"not told apart with {result.n} paired seeds"


def _seeds_that_tell(effects: Sequence[Effect], comparison: Comparison) -> str:
    """How many seeds would tell, where the present ones are too few; nothing where none would or none is."""
    if any(e.paired.noiseless or is_equal(e) or not e.required_pairs > e.paired.n > 1 for e in effects):
        return ""
    needed = [e.required_pairs for e in effects]
    if not all(map(math.isfinite, needed)):
        return ""
    sizes = [e.effect_of_interest for e in effects]
    least, most = (f"{end(needed):,.0f}" for end in (min, max))
    count = least if least == most else f"{least} to {most}"
    metric = comparison.metric
    larger = ", or the one seen where it is larger," if max(sizes) > min(sizes) else ""
    size = f"{metric.text(min(sizes))}{metric.unit}{larger}"
    return f", where about {count} would tell a difference of {size} at 80 %"


def _in_brackets(effect: Effect, comparison: Comparison, cells: Cells) -> str:
    if effect.paired.n == 0:
        return ""
    metric = comparison.metric
    return f" ({metric.signed(effect.paired.delta)}{metric.unit}{_cost(effect, cells, COSTS[:1])})"


def _span(effects: Sequence[Effect], comparison: Comparison) -> str:
    deltas = [e.paired.delta for e in effects if e.paired.n > 0]
    if not deltas:
        return ""
    low, high = (comparison.metric.signed(end(deltas)) for end in (min, max))
    return f" ({low if low == high else f'{low} to {high}'}{comparison.metric.unit})"


def _name(effect: Effect, comparison: Comparison) -> str:
    own = quoted(effect.variant)
    return (
        own if effect.against == comparison.reference.variant else f"{own} against {quoted(effect.against)}"
    )


def _size(effect: Effect, comparison: Comparison) -> str:
    result, metric = effect.paired, comparison.metric
    interval = f"95 % CI {metric.signed(result.ci_low)} to {metric.signed(result.ci_high)}"
    return f"{metric.signed(result.delta)}{metric.unit}, {interval}, n = {result.n}"


def _cost(effect: Effect, cells: Cells, costs: Sequence[tuple[str, str]] = COSTS) -> str:
    """`, at 0.43x the pretraining time and 0.60x the FLOPs`, as far as known."""
    parts = []
    for column, words in costs:
        ours, theirs = cost_of(cells, column, effect.variant), cost_of(cells, column, effect.against)
        if theirs > 0 and not math.isnan(ours):
            parts.append(f"{ratio(ours / theirs)} {words}")
    return f", at {' and '.join(parts)}" if parts else ""
