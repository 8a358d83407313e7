"""The study's answer: a verdict first, then one line a comparison, then what it is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cmae_ablate.report.cells import Cells, cost_of
from cmae_ablate.report.controls import Sensitivity
from cmae_ablate.report.effects import DECLARED, Comparison, Effect
from cmae_ablate.report.factorial import LEVEL, Factorial, Term
from cmae_ablate.report.stats import ALPHA
from cmae_ablate.report.verdict import (
    Verdict,
    is_equal,
    judge,
    judge_term,
    needs_seeds,
    why_inconclusive,
)
from cmae_ablate.report.wording import PLUS_MINUS, Metric, counted, listing, p_phrase, ratio, shortened

LABEL_WIDTH = 60
SHOWN = 3
COSTS = (("seconds.pretrain", "the pretraining time"), ("flops.pretrain_image", "the FLOPs"))


@dataclass(frozen=True)
class Judged:
    """One comparison with its verdict, as `answer.json` lists it.

    Attributes:
        variant: A variant, or a term of a grid.
        against: A variant, or the level that a grid's effect is measured from.
        family: `declared`, in Holm's family, or `exploratory`.
        resolution: Half the 95 % interval over the gain of pretraining; NaN where that is unknown.
    """

    variant: str
    against: str
    family: str
    verdict: Verdict
    delta: float
    ci_low: float
    ci_high: float
    n: int
    p_holm: float
    resolution: float


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
        headline, lines = _of_terms(terms, comparison)
    else:
        headline, lines = _of_variants(comparison, sensitivity, cells)
    if any(verdict is Verdict.INSENSITIVE for verdict in _verdicts(terms, comparison)):
        headline = _insensitive(comparison, sensitivity)
    added = [e for e in comparison.contrasts if (e.variant, e.against) in _added(comparison)]
    return Answer(
        headline,
        (*lines, *(_added_line(effect, comparison) for effect in added)),
        tuple(_worth(comparison, sensitivity, terms)),
        _plan(comparison),
        (
            *(_judged_term(t, comparison, sensitivity) for t in terms),
            *(_judged(e, comparison, sensitivity) for e in comparison.contrasts),
        ),
        sensitivity,
    )


def quoted(label: str) -> str:
    """A label in typographic quotes, not too long for a sentence."""
    return f"\u2018{shortened(label, LABEL_WIDTH)}\u2019"


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
    what = f"{comparison.metric.words}, {_seeds([e.paired.n for e in comparison.declared])}"
    unresolved = groups[Verdict.INCONCLUSIVE]
    if len(unresolved) + len(groups[Verdict.INCOMPLETE]) == len(comparison.declared):
        return _nothing_detected(unresolved, comparison)
    clauses = [clause for verdict, found in groups.items() for clause in _clauses(verdict, found, comparison)]
    return f"{_capital('; '.join(clauses))} ({what})."


def _clauses(verdict: Verdict, effects: Sequence[Effect], comparison: Comparison) -> Iterator[str]:
    """`‘a’ and ‘b’ are higher than ‘MAE’`, a clause for each variant that others are compared with."""
    metric, margin = comparison.metric, comparison.description.equivalence_margin
    within = f" within {PLUS_MINUS}{metric.text(margin)}{metric.unit}" if margin is not None else ""
    words = {
        Verdict.HIGHER: "higher than {}",
        Verdict.LOWER: "lower than {}",
        Verdict.EQUAL: f"equal to {{}}{within}",
        Verdict.IDENTICAL: "identical to {}, with the same weights in every seed",
    }
    for against in dict.fromkeys(e.against for e in effects if verdict in words):
        members = [quoted(e.variant) for e in effects if e.against == against]
        yield f"{listing(members, SHOWN)} {_is(len(members))} {words[verdict].format(quoted(against))}"
    if effects and verdict not in words:
        if len(effects) <= SHOWN:
            yield f"{listing([_name(e, comparison) for e in effects])} {_is(len(effects))} {verdict}"
        else:
            yield f"{len(effects)} comparisons are {verdict}"


def _nothing_detected(effects: Sequence[Effect], comparison: Comparison) -> str:
    seeds = _seeds([e.paired.n for e in effects])
    if len(comparison.declared) == 1:
        (effect,) = effects
        difference = f"{quoted(effect.variant)} does not differ detectably from {quoted(effect.against)}"
    else:
        all_to_reference = {e.against for e in comparison.declared} == {comparison.reference.variant}
        what = "variants" if all_to_reference else "contrasts"
        difference = f"none of {len(comparison.declared)} {what} differs detectably"
        difference += f" from {quoted(comparison.reference.variant)}" if all_to_reference else ""
    return f"Inconclusive ({seeds}): {difference} in {comparison.metric.words}."


def _insensitive(comparison: Comparison, sensitivity: Sensitivity) -> str:
    control = sensitivity.control
    assert control is not None, "a study is insensitive by its positive control"
    reads = "reads detectably better" if sensitivity.reads_backwards else "does not differ detectably"
    return (
        f"Insensitive ({_seeds([control.paired.n])}): the positive control{_control(comparison)}, known to be "
        f"worse, {reads}{'' if sensitivity.reads_backwards else ' either'} "
        f"{'than' if sensitivity.reads_backwards else 'from'} {quoted(comparison.reference.variant)} in "
        f"{comparison.metric.words}, so the study says nothing about smaller differences."
    )


def _line(effect: Effect, comparison: Comparison, cells: Cells) -> str:
    """Verdict, difference, interval, p, cost and seeds needed of one comparison."""
    verdict, result = judge(effect, comparison.sensitive), effect.paired
    name = _name(effect, comparison)
    if verdict is Verdict.INCOMPLETE:
        return f"{name}: incomplete, no paired seed."
    if verdict is Verdict.IDENTICAL:
        return f"{name}: identical, the same weights in {counted(result.n, 'paired seed')}{_cost(effect, cells)}."
    size = _size(effect, comparison)
    cost = _cost(effect, cells)
    if verdict is Verdict.INCONCLUSIVE:
        return f"{name}: {size}{cost}; {verdict}{why_inconclusive(effect, comparison)}."
    metric, margin = comparison.metric, comparison.description.equivalence_margin
    words = str(verdict)
    if is_equal(effect) and margin is not None and verdict is not Verdict.INSENSITIVE:
        within = f"equal within {PLUS_MINUS}{metric.text(margin)}{metric.unit}"
        words = within if verdict is Verdict.EQUAL else f"{verdict}, yet {within}"
    return f"{name}: {size}{cost}; {words}."


def _size(effect: Effect, comparison: Comparison) -> str:
    result, metric = effect.paired, comparison.metric
    text = f"{metric.signed(result.delta)}{metric.unit}"
    if result.n < 2 or result.noiseless:
        return f"{text}, n = {result.n}"
    p = "" if math.isnan(effect.p_holm) else f", Holm p {p_phrase(effect.p_holm)}"
    return f"{text}, {_interval(result.ci_low, result.ci_high, metric)}, n = {result.n}{p}"


def _interval(low: float, high: float, metric: Metric) -> str:
    return f"95 % CI {metric.signed(low)} to {metric.signed(high)}"


def _cost(effect: Effect, cells: Cells) -> str:
    """`, at 0.43x the pretraining time and 0.60x the FLOPs`, as far as known."""
    parts = []
    for column, words in COSTS:
        ours, theirs = cost_of(cells, column, effect.variant), cost_of(cells, column, effect.against)
        if theirs > 0 and not math.isnan(ours):
            parts.append(f"{ratio(ours / theirs)} {words}")
    return f", at {' and '.join(parts)}" if parts else ""


def _added(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    return comparison.description.added_contrasts


def _added_line(effect: Effect, comparison: Comparison) -> str:
    """A contrast that the plan does not have: shown, and never a conclusion."""
    name = f"{quoted(effect.variant)} against {quoted(effect.against)}"
    if effect.paired.n == 0:
        return f"{name}: exploratory, not in the analysis plan; no paired seed."
    return f"{name}: exploratory, not in the analysis plan; {_size(effect, comparison)}."


def _of_terms(terms: Sequence[Term], comparison: Comparison) -> tuple[str, tuple[str, ...]]:
    """A grid by its main effects and two-way interactions."""
    metric, sensitive = comparison.metric, comparison.sensitive
    if all(term.n == 0 for term in terms):
        return "Incomplete: no seed has every combination of the grid complete.", ()
    seeds = _seeds([max(term.n for term in terms)])
    found = [_term_clause(t) for t in terms if judge_term(t, sensitive) in (Verdict.HIGHER, Verdict.LOWER)]
    open_terms = [t for t in terms if t.kind != LEVEL and not t.p_holm < ALPHA]
    lines = tuple(_term_line(term, metric, sensitive) for term in terms)
    if not found:
        size = sum(term.kind != LEVEL for term in terms)
        return (
            f"Inconclusive ({seeds}): none of {size} main effects and two-way interactions is detected in "
            f"{metric.words}.",
            lines,
        )
    rest = (
        f"; {counted(len(open_terms), 'other term')} {_is(len(open_terms))} inconclusive"
        if open_terms
        else ""
    )
    return (
        f"{_capital('; '.join(found))}{rest} ({metric.words}, {seeds}, each averaged over the other factors).",
        lines,
    )


def _term_clause(term: Term) -> str:
    direction = "higher" if term.estimate > 0 else "lower"
    if len(term.factors) == 1:
        return f"{term.factors[0]}: {quoted(term.levels[0])} is {direction} than {quoted(term.base[0])}"
    more = "more" if term.estimate > 0 else "less"
    parts = " and ".join(quoted(level) for level in term.levels)
    return f"{listing(term.factors)}: {parts} together give {more} than the sum of both alone"


def _term_line(term: Term, metric: Metric, sensitive: bool | None) -> str:
    verdict = judge_term(term, sensitive)
    if verdict is Verdict.INCOMPLETE:
        return f"{term.name}: incomplete, no seed has every combination complete."
    p = "not tested" if math.isnan(term.p_holm) else f"Holm p {p_phrase(term.p_holm)}"
    if not term.levels:
        seen = "differences among its levels" if term.p_holm < ALPHA else str(verdict)
        return f"{term.name}: {'insensitive' if verdict is Verdict.INSENSITIVE else seen}, {p}."
    return (
        f"{term.name} ({term.contrast}): {metric.signed(term.estimate)}{metric.unit}, "
        f"{_interval(term.ci_low, term.ci_high, metric)}, n = {term.n}, {p}; {verdict}."
    )


def _judged(effect: Effect, comparison: Comparison, sensitivity: Sensitivity) -> Judged:
    result = effect.paired
    return Judged(
        effect.variant,
        effect.against,
        effect.family,
        judge(effect, comparison.sensitive),
        result.delta,
        result.ci_low,
        result.ci_high,
        result.n,
        effect.p_holm,
        sensitivity.resolution(result.ci_low, result.ci_high),
    )


def _judged_term(term: Term, comparison: Comparison, sensitivity: Sensitivity) -> Judged:
    return Judged(
        term.name,
        " \N{MULTIPLICATION SIGN} ".join(term.base),
        DECLARED,
        judge_term(term, comparison.sensitive),
        term.estimate,
        term.ci_low,
        term.ci_high,
        term.n,
        term.p_holm,
        sensitivity.resolution(term.ci_low, term.ci_high),
    )


def _worth(comparison: Comparison, sensitivity: Sensitivity, terms: Sequence[Term]) -> Iterator[str]:
    yield sensitivity_sentence(comparison, sensitivity)
    yield resolution_sentence(comparison, sensitivity, terms)
    if not terms and any(
        judge(e, comparison.sensitive) is Verdict.INCONCLUSIVE and needs_seeds(e) for e in comparison.declared
    ):
        yield (
            "Plan such a number before a study is run. Seeds that are added because of this table and tested "
            "together with it find differences that do not exist in about 10 % of studies instead of 5 %; "
            f"count only the added ones instead (the rows of trials.csv from seed {comparison.description.seeds})."
        )


def sensitivity_sentence(comparison: Comparison, sensitivity: Sensitivity) -> str:
    """Whether the study tells a reference that is known to be worse."""
    control, metric = sensitivity.control, comparison.metric
    if control is None:
        return (
            "Sensitivity: unknown, as no positive control was measured; where nothing is detected, there may be "
            "nothing, or the study may be unable to see it."
        )
    result, reference = control.paired, quoted(comparison.reference.variant)
    if sensitivity.sensitive is None:
        why = "too few paired seeds for a test" if result.n < 2 else "no noise to test by"
        return f"Sensitivity: unknown, {why} of the positive control{_control(comparison)}."
    way = "above" if result.delta > 0 else "below"
    size = f"{metric.text(abs(result.delta))}{metric.unit} {way} its positive control{_control(comparison)}"
    p = "" if math.isnan(result.p) else f", p {p_phrase(result.p)}"
    told = "detected" if sensitivity.sensitive else "not detected"
    if sensitivity.reads_backwards:
        told = "detected the wrong way round"
    return f"Sensitivity: {reference} reads {size}, {_interval(result.ci_low, result.ci_high, metric)}{p}: {told}."


def resolution_sentence(comparison: Comparison, sensitivity: Sensitivity, terms: Sequence[Term] = ()) -> str:
    """How fine the intervals are beside what pretraining brings at all."""
    gain, metric = sensitivity.gain, comparison.metric
    if gain is None or gain.paired.n == 0:
        return "Resolution: unknown, as no random-init control was measured."
    ends = [(t.ci_low, t.ci_high) for t in terms] or [
        (e.paired.ci_low, e.paired.ci_high) for e in comparison.declared
    ]
    found = [r for low, high in ends if not math.isnan(r := sensitivity.resolution(low, high))]
    brings = (
        f"what pretraining brings {quoted(comparison.reference.variant)} over random init "
        f"({metric.signed(gain.paired.delta)}{metric.unit})"
    )
    if not found:
        return f"Resolution: unknown, as no interval can be set beside {brings}."
    if (gain.paired.delta < 0) is not metric.lower_is_better:
        return f"Resolution: none, as there is no gain: {brings} is on the wrong side of zero."
    low, high = (f"{end(found):.2f}" for end in (min, max))
    span = low if low == high else f"{low} to {high}"
    return f"Resolution: the intervals' half-widths are {span} of {brings}."


def _control(comparison: Comparison) -> str:
    words = comparison.description.positive_control
    return f" ({words})" if words else ""


def _plan(comparison: Comparison) -> str:
    plan = comparison.description.plan
    if plan is None or not plan.changes:
        return ""
    return f"Changed since the analysis plan of {plan.recorded}: {'; '.join(plan.changes)}."


def _name(effect: Effect, comparison: Comparison) -> str:
    own = quoted(effect.variant)
    return (
        own if effect.against == comparison.reference.variant else f"{own} against {quoted(effect.against)}"
    )


def _seeds(counts: Sequence[int]) -> str:
    """`3 seeds`, `2 to 5 seeds`."""
    known = [count for count in counts if count] or [0]
    least, most = min(known), max(known)
    return counted(most, "seed") if least == most else f"{least} to {most} seeds"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def record(found: Answer, comparison: Comparison) -> Mapping[str, object]:
    """`answer.json`: strict JSON, with null where there is no number."""
    study, gain = comparison.description, found.sensitivity.gain
    return {
        "question": study.question,
        "metric": study.metric,
        "sensitive": found.sensitivity.sensitive,
        "text": found.text,
        "verdicts": [
            {
                "variant": each.variant,
                "against": each.against,
                "family": each.family,
                "verdict": str(each.verdict),
                "delta": _known(each.delta),
                "ci_low": _known(each.ci_low),
                "ci_high": _known(each.ci_high),
                "n": each.n,
                "p_holm": _known(each.p_holm),
                "resolution": _known(each.resolution),
            }
            for each in found.judged
        ],
        "gain": _known(gain.paired.delta) if gain is not None else None,
        "plan": None
        if study.plan is None
        else {"recorded": study.plan.recorded, "changes": list(study.plan.changes)},
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
