"""The study's answer: a verdict first, then one line a comparison, then what it is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cmae_ablate.report.answer_record import Judged, judged_all
from cmae_ablate.report.cells import Cells, cost_ratio
from cmae_ablate.report.controls import Sensitivity
from cmae_ablate.report.effects import Comparison, Effect
from cmae_ablate.report.factorial import Factorial, Term
from cmae_ablate.report.short_labels import ShortLabels, by_against
from cmae_ablate.report.term_words import answer_by_terms
from cmae_ablate.report.verdict import (
    Verdict,
    is_equal,
    is_open_among_many,
    judge,
    judge_term,
    why_inconclusive,
)
from cmae_ablate.report.wording import (
    capitalised,
    counted,
    is_or_are,
    listing,
    p_phrase,
    quoted,
    ratio,
    seeds_phrase,
)
from cmae_ablate.report.worth import insensitive, plan_changes, worth

SHOWN = 3
COSTS = (("seconds.pretrain", "the pretraining time"), ("flops.pretrain_image", "the FLOPs"))


@dataclass(frozen=True)
class Answer:
    """What a study answers.

    Attributes:
        headline: The verdict, one sentence.
        lines: One comparison each: difference, interval, cost, seeds needed.
        worth: What the answer is worth: sensitivity, resolution, and how seeds may be added.
        plan: What changed since the analysis plan was recorded; empty where nothing did.
        judged: Every comparison, the exploratory ones too.
        sensitivity: Whether the study tells its positive control, and what it gains.
    """

    headline: str
    lines: tuple[str, ...]
    worth: tuple[str, ...]
    plan: str
    judged: tuple[Judged, ...]
    sensitivity: Sensitivity

    @property
    def text(self) -> str:
        """All of it, one sentence a line."""
        return "\n".join([self.headline, *self.lines, *filter(None, [self.plan]), *self.worth])


def answer(
    comparison: Comparison, cells: Cells, sensitivity: Sensitivity, factorial: Factorial | None = None
) -> Answer:
    """What the numbers support; a null result is stated as one.

    Args:
        comparison: The deciding metric's; it knows whether the study is sensitive.
        cells: The study's.
        sensitivity: From its controls.
        factorial: The analysis of a full grid; it leads where the study declares no contrasts.
    """
    terms = factorial.terms if factorial is not None and comparison.description.tests_terms else ()
    if terms:
        headline, lines = answer_by_terms(terms, comparison, cells)
    else:
        headline, lines = _of_variants(comparison, sensitivity, cells)
    if any(verdict is Verdict.INSENSITIVE for verdict in _verdicts(terms, comparison)):
        headline = insensitive(comparison, sensitivity)
    added = [e for e in comparison.contrasts if (e.variant, e.against) in _added(comparison)]
    return Answer(
        headline,
        (*lines, *(_added_line(effect, comparison) for effect in added)),
        tuple(worth(comparison, sensitivity, terms)),
        plan_changes(comparison),
        judged_all(comparison, sensitivity, terms),
        sensitivity,
    )


def _verdicts(terms: Sequence[Term], comparison: Comparison) -> list[Verdict]:
    if terms:
        return [judge_term(term, comparison.sensitive) for term in terms]
    return [judge(effect, comparison.sensitive) for effect in comparison.declared]


def _of_variants(
    comparison: Comparison, sensitivity: Sensitivity, cells: Cells
) -> tuple[str, tuple[str, ...]]:
    declared, reference = comparison.declared, quoted(comparison.reference.variant)
    if comparison.reference.paired.n == 0:
        return f"Incomplete: the reference {reference} has no complete cell (a variant with a seed).", ()
    if not declared:
        return f"No answer: nothing is compared with {reference}.", ()
    if all(effect.paired.n == 0 for effect in declared):
        return "Incomplete: no compared pair has a complete seed in common.", ()
    lines = tuple(_line(effect, comparison, cells) for effect in declared)
    return _headline(comparison), lines


def _headline(comparison: Comparison) -> str:
    groups: dict[Verdict, list[Effect]] = {verdict: [] for verdict in Verdict}
    for effect in comparison.declared:
        groups[judge(effect, comparison.sensitive)].append(effect)
    what = f"{comparison.metric.words}, {seeds_phrase([e.paired.n for e in comparison.declared])}"
    unresolved, missing = groups[Verdict.INCONCLUSIVE], groups[Verdict.INCOMPLETE]
    if len(unresolved) + len(missing) == len(comparison.declared):
        return _nothing_detected(unresolved, missing, comparison)
    names = ShortLabels.of(comparison.description)
    if names.shortens:
        clauses = _clauses_by_reference(groups, comparison, names)
    else:
        clauses = [c for verdict, found in groups.items() for c in _clauses(verdict, found, comparison)]
    return f"{capitalised('; '.join(clauses))} ({what})."


def _told_of_many(
    effects: Sequence[Effect], verdict: Verdict, comparison: Comparison
) -> tuple[str, str] | None:
    """A verdict of variants, and of what they are compared with; None where it is counted or told alone."""
    metric, margin = comparison.metric, comparison.description.equivalence_margin
    within = f" {metric.within(margin)}" if margin is not None else ""
    words = {
        Verdict.HIGHER: ("higher than {}", "reads higher"),
        Verdict.LOWER: ("lower than {}", "reads lower"),
        Verdict.EQUAL: (f"equal to {{}}{within}", f"reads equal{within}"),
        Verdict.IDENTICAL: (
            "identical to {}, with the same weights in every seed",
            "has the same weights in every seed",
        ),
    }
    if len(effects) <= SHOWN:  # more are counted
        words[Verdict.INCONCLUSIVE] = "not detectably different from {}", "does not differ detectably"
    return words.get(verdict)


def _clauses_by_reference(
    groups: Mapping[Verdict, Sequence[Effect]], comparison: Comparison, names: ShortLabels
) -> list[str]:
    """Where labels are long, a clause for each reference: `‘a + b + c’ reads higher with ‘d’`."""
    told: dict[str, list[str]] = {}
    alone: list[str] = []
    for verdict, effects in groups.items():
        if words := _told_of_many(effects, verdict, comparison):
            for against, found in by_against(effects):
                members = [f"with {quoted(names.beside(e.variant, against))}" for e in found]
                told.setdefault(against, []).append(f"{words[1]} {listing(members, SHOWN)}")
        elif effects:
            alone.append(_told_alone(verdict, effects, comparison))
    joined = [
        f"{', '.join(parts[:-1])}, and {parts[-1]}" if parts[1:] else parts[0] for parts in told.values()
    ]
    return [*(f"{quoted(against)} {each}" for against, each in zip(told, joined, strict=True)), *alone]


def _clauses(verdict: Verdict, effects: Sequence[Effect], comparison: Comparison) -> Iterator[str]:
    """A clause for what is compared with the same variants: `‘a’ and ‘b’ are higher than ‘MAE’`."""
    words = _told_of_many(effects, verdict, comparison)
    if words is None:
        if effects:
            yield _told_alone(verdict, effects, comparison)
        return
    compared: dict[tuple[str, ...], list[str]] = {}
    for against, found in by_against(effects):
        members = tuple(quoted(e.variant) for e in found)
        if verdict is Verdict.INCONCLUSIVE:  # of each by itself: 'different from a and b' says less
            yield f"{listing(members, SHOWN)} {is_or_are(len(members))} {words[0].format(quoted(against))}"
        else:
            compared.setdefault(members, []).append(quoted(against))
    for members, others in compared.items():
        theirs = words[0].format(listing(others, SHOWN))
        yield f"{listing(members, SHOWN)} {is_or_are(len(members))} {theirs}"


def _told_alone(verdict: Verdict, effects: Sequence[Effect], comparison: Comparison) -> str:
    if len(effects) <= SHOWN:
        return f"{listing([_name(e, comparison) for e in effects])} {is_or_are(len(effects))} {verdict}"
    return f"{len(effects)} comparisons are {verdict}"


def _nothing_detected(effects: Sequence[Effect], missing: Sequence[Effect], comparison: Comparison) -> str:
    seeds = seeds_phrase([e.paired.n for e in effects])
    if len(effects) == 1:
        (effect,) = effects
        difference = f"{quoted(effect.variant)} does not differ detectably from {quoted(effect.against)}"
    else:
        all_to_reference = {e.against for e in effects} == {comparison.reference.variant}
        if all_to_reference:
            reference = quoted(comparison.reference.variant)
            difference = f"none of {len(effects)} variants differs detectably from {reference}"
        else:
            difference = f"none of {len(effects)} contrasts shows a detectable difference"
    rest = "".join(f"; {clause}" for clause in _clauses(Verdict.INCOMPLETE, missing, comparison))
    return f"Inconclusive ({seeds}): {difference} in {comparison.metric.words}{rest}."


def _line(effect: Effect, comparison: Comparison, cells: Cells) -> str:
    """Verdict, difference, interval, p, cost and seeds needed of one comparison."""
    verdict, result = judge(effect, comparison.sensitive), effect.paired
    name = _name(effect, comparison)
    if verdict is Verdict.INCOMPLETE:
        return f"{name}: incomplete, no paired seed."
    if verdict is Verdict.IDENTICAL:
        seeds = counted(result.n, "paired seed")
        return f"{name}: identical, the same weights in {seeds}{_cost(effect, cells)}."
    words, reason = _words(effect, comparison, verdict), ""
    if verdict is Verdict.INCONCLUSIVE:
        reason = why_inconclusive(effect, comparison)
    return f"{name}: {words}, {_size(effect, comparison, verdict)}{_cost(effect, cells)}{reason}."


def _words(effect: Effect, comparison: Comparison, verdict: Verdict) -> str:
    """The verdict as it opens a line."""
    metric, margin = comparison.metric, comparison.description.equivalence_margin
    if verdict is Verdict.INCONCLUSIVE and is_open_among_many(effect):
        return f"{verdict} among {counted(effect.among, 'comparison')}"
    if verdict is Verdict.INSENSITIVE or not is_equal(effect) or margin is None:
        return str(verdict)
    within = f"equal {metric.within(margin)}"
    return within if verdict is Verdict.EQUAL else f"{verdict}, yet {within}"


def _size(effect: Effect, comparison: Comparison, verdict: Verdict | None = None) -> str:
    result, metric = effect.paired, comparison.metric
    text = f"{metric.signed(result.delta)}{metric.unit}"
    if math.isnan(result.ci_low) or result.noiseless:
        return f"{text}, n = {result.n}"
    tested = not math.isnan(effect.p_holm) and verdict is not Verdict.INSENSITIVE
    p = f", Holm p {p_phrase(effect.p_holm)}" if tested else ""
    if tested and is_equal(effect):
        of_equivalence = p_phrase(effect.equivalence_p_holm)
        p = f", Holm p of a difference {p_phrase(effect.p_holm)}, of equivalence {of_equivalence}"
    return f"{text}, {metric.confidence(result.ci_low, result.ci_high)}, n = {result.n}{p}"


def _cost(effect: Effect, cells: Cells) -> str:
    """`, at 0.43x the pretraining time and 0.60x the FLOPs`, as far as known."""
    times = {words: cost_ratio(cells, column, effect.variant, effect.against) for column, words in COSTS}
    parts = [f"{ratio(each)} {words}" for words, each in times.items() if not math.isnan(each)]
    return f", at {' and '.join(parts)}" if parts else ""


def _added(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    return comparison.description.added_contrasts


def _added_line(effect: Effect, comparison: Comparison) -> str:
    """A contrast that the plan does not have: shown, and never a conclusion."""
    name = _name(effect, comparison)
    if effect.paired.n == 0:
        return f"{name}: exploratory, not in the analysis plan; no paired seed."
    return f"{name}: exploratory, not in the analysis plan; {_size(effect, comparison)}."


def _name(effect: Effect, comparison: Comparison) -> str:
    return ShortLabels.of(comparison.description).compared(effect.variant, effect.against)
