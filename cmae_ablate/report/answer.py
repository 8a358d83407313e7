"""The study's answer: a verdict first, then one line a comparison, then what it is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cmae_ablate.report.answer_record import Judged, judged_all
from cmae_ablate.report.cells import Cells, cost_ratio
from cmae_ablate.report.controls import Sensitivity
from cmae_ablate.report.effects import Comparison, Effect, compare
from cmae_ablate.report.factorial import Factorial, Term, analyse, tested_terms
from cmae_ablate.report.headline import headline, name_of
from cmae_ablate.report.tables import modelled_interval
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
    ADDING_SEEDS,
    capitalised,
    counted,
    p_phrase,
    quoted,
    ratio,
    seeds_words,
)
from cmae_ablate.report.worth import insensitive, plan_changes, worth

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
    terms = tested_terms(factorial, comparison.description)
    first, lines = _told(comparison, sensitivity, cells, terms)
    added = [e for e in comparison.contrasts if (e.variant, e.against) in _added(comparison)]
    return Answer(
        first,
        (*lines, *(_added_line(effect, comparison) for effect in added)),
        (*_by_planned_seeds(comparison, sensitivity, cells), *worth(comparison, sensitivity, terms)),
        plan_changes(comparison),
        judged_all(comparison, sensitivity, terms),
        sensitivity,
    )


def _told(
    comparison: Comparison, sensitivity: Sensitivity, cells: Cells, terms: Sequence[Term]
) -> tuple[str, tuple[str, ...]]:
    """The headline, and a line for each declared comparison or term."""
    first, lines = (
        answer_by_terms(terms, comparison, cells) if terms else _of_variants(comparison, sensitivity, cells)
    )
    if any(verdict is Verdict.INSENSITIVE for verdict in _verdicts(terms, comparison)):
        first = insensitive(comparison, sensitivity)
    return first, lines


def _by_planned_seeds(comparison: Comparison, sensitivity: Sensitivity, cells: Cells) -> Iterator[str]:
    """What the planned seeds say alone, where others were added: with those, more is found than there is."""
    added, study = sorted(cells.added_seeds), comparison.description
    compared = [effect.paired.n for effect in comparison.declared]  # none where a grid's terms are judged
    if (
        not added
        or (compared and not any(compared))
        or study.rule is not None
        or comparison.sensitive is False
    ):
        return
    alone = cells.of_planned_seeds()
    planned = compare(alone, study.metric, thorough=study.equivalence_margin is not None)
    planned = replace(planned, sensitive=comparison.sensitive)
    first, _ = _told(planned, sensitivity, alone, tested_terms(analyse(alone), study))
    planned_seeds = "planned seed" if study.seeds == 1 else f"{study.seeds} planned seeds"
    yield (
        f"{capitalised(seeds_words(added))} {'was' if len(added) == 1 else 'were'} added later; "
        f"{ADDING_SEEDS}. By the {planned_seeds} alone: {first}"
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
    return headline(comparison), lines


def _line(effect: Effect, comparison: Comparison, cells: Cells) -> str:
    """Verdict, difference, interval, p, cost and seeds needed of one comparison."""
    verdict, result = judge(effect, comparison.sensitive), effect.paired
    name = name_of(effect, comparison)
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
    adjusted = f"{effect.correction} p"
    p = f", {adjusted} {p_phrase(effect.p_holm)}" if tested else ""
    if tested and is_equal(effect):
        of_equivalence = p_phrase(effect.equivalence_p_holm)
        p = f", {adjusted} of a difference {p_phrase(effect.p_holm)}, of equivalence {of_equivalence}"
    declared = effect.modelled
    by_model = (
        f", by the {declared.kind} variance {metric.interval(*modelled_interval(effect))}" if declared else ""
    )
    return f"{text}, {metric.confidence(result.ci_low, result.ci_high)}, n = {result.n}{by_model}{p}"


def _cost(effect: Effect, cells: Cells) -> str:
    """`, at 0.43x the pretraining time and 0.60x the FLOPs`, as far as known."""
    times = {words: cost_ratio(cells, column, effect.variant, effect.against) for column, words in COSTS}
    parts = [f"{ratio(each)} {words}" for words, each in times.items() if not math.isnan(each)]
    return f", at {' and '.join(parts)}" if parts else ""


def _added(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    return comparison.description.added_contrasts


def _added_line(effect: Effect, comparison: Comparison) -> str:
    """A contrast that the plan does not have: shown, and never a conclusion."""
    name = name_of(effect, comparison)
    if effect.paired.n == 0:
        return f"{name}: exploratory, not in the analysis plan; no paired seed."
    return f"{name}: exploratory, not in the analysis plan; {_size(effect, comparison)}."
