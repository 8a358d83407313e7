"""What several data sets allow to conclude, in sentences: the answer, and what stands with the table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cmae_ablate.report.caption import interval_words, plan_sentence
from cmae_ablate.report.pooled import OnDataSet, OverDataSets, PooledStudy
from cmae_ablate.report.random_effects import FEWEST, RandomEffects, is_heterogeneous
from cmae_ablate.report.stats import ALPHA
from cmae_ablate.report.term_words import term_clause
from cmae_ablate.report.verdict import Verdict
from cmae_ablate.report.wording import (
    DAGGER,
    PLUS_MINUS,
    Metric,
    capitalised,
    counted,
    is_or_are,
    listing,
    number,
    one_line,
    p_phrase,
    quoted,
)

SHOWN = 3
NEEDS_THREE = (
    f"a claim about data sets of this kind needs {FEWEST} or more, since two do not show how much data sets "
    "differ"
)
SAMPLE = (
    "Pooled is the plain mean over the data sets: they stand for their kind only as far as they were chosen "
    "to."
)


@dataclass(frozen=True)
class PooledAnswer:
    """What a study on several data sets answers: verdict, one line a contrast, and what it is worth."""

    headline: str
    lines: tuple[str, ...]
    worth: tuple[str, ...]
    plan: str = ""

    @property
    def text(self) -> str:
        """All of it, one sentence a line."""
        return "\n".join([self.headline, *self.lines, *filter(None, [self.plan]), *self.worth])


def pooled_answer(study: PooledStudy) -> PooledAnswer:
    """What the numbers support; with two data sets nothing is pooled."""
    shown = study.declared or study.contrasts
    lines = tuple(_line(each, study) for each in shown)
    return PooledAnswer(_headline(study), lines, tuple(_worth(study)), _plan(study))


def name(each: OverDataSets, study: PooledStudy) -> str:
    """The contrast in a table: the variant, with what it is compared with where that is not the reference.

    Of a grid's term, what is subtracted from what.
    """
    if each.term is not None:
        return one_line(f"{each.term.name} ({each.term.contrast})")
    reference = study.parts[0].comparison.description.reference
    return one_line(each.variant if each.against == reference else f"{each.variant} against {each.against}")


def on_data_set(on: OnDataSet, metric: Metric) -> str:
    """Difference and interval on one data set, or the word in their place: as a study's own table has it."""
    result = on.paired
    if not result.n:
        return "no paired seed"
    alike = result.noiseless and not on.identical
    interval = "(alike in every seed)" if alike else metric.interval(result.ci_low, result.ci_high)
    return f"{metric.signed(result.delta)} {interval or '(one seed)'}"


def over_data_sets(found: RandomEffects, metric: Metric) -> str:
    """Pooled difference and interval, or the word in their place."""
    interval = "(alike on every data set)" if found.alike else metric.interval(*found.interval)
    return f"{metric.signed(found.mean)} {interval}".strip()


def pooled_note(study: PooledStudy) -> str:
    """What the reader of the table must know: what is pooled, by which intervals, and what they promise."""
    description = study.parts[0].comparison.description
    sentences = [
        f"Mean differences on {listing(study.datasets)}, each paired by seed; {interval_words(description)}."
    ]
    if any(each.term is not None for each in study.contrasts):
        sentences.append(
            "A term of the grid has here an interval by its own seeds alone, which is not that of the data "
            "set's own report: there, all of the grid's contrasts say how much seeds vary."
        )
    if study.is_pooled:
        sentences += [
            f"{SAMPLE} Its 95 % interval is Student's over {counted(len(study.pool), 'data set')}"
            f"{_fewer(study)}, and Holm's correction of its p covers "
            f"{counted(len(study.declared), 'declared contrast')}.",
            *_unequal_seeds(study),
            "The 95 % prediction interval holds what as many seeds on a new data set of this kind will show; "
            "of its "
            "true difference it is cautious.",
            "tau: standard deviation of true differences over data sets; I\N{SUPERSCRIPT TWO}: its share of "
            "the "
            "variance seen between them.",
        ]
    else:
        sentences.append(f"Nothing is pooled: {NEEDS_THREE}.")
    sentences += _not_single(study)
    if any(each.family != "declared" for each in study.contrasts):
        sentences.append(f"{DAGGER} exploratory: not corrected for being one of many.")
    if study.insensitive:
        sentences.append(_insensitive(study))
    plans = {part.title: plan_sentence(part.comparison.description.plan) for part in study.parts}
    if len(set(plans.values())) == 1:
        return " ".join([*sentences, *set(plans.values())])
    return " ".join([*sentences, *(f"{label}: {sentence}" for label, sentence in plans.items())])


def _headline(study: PooledStudy) -> str:
    pooled = len(study.pool) if study.is_pooled else len(study.parts)
    where = f"{study.metric.words}, {counted(pooled, 'data set')}"
    if not study.declared:
        return f"No answer: no contrast is declared ({where})."
    if not study.is_pooled:
        why = f"{_blind(study)}, and {NEEDS_THREE}" if study.insensitive else NEEDS_THREE
        return f"Side by side, nothing pooled ({where}): {why}."
    groups: Mapping[Verdict, list[OverDataSets]] = {verdict: [] for verdict in Verdict}
    for each in study.declared:
        groups[each.verdict].append(each)
    clauses = [clause for verdict, found in groups.items() for clause in _clauses(verdict, found, study)]
    concluded = f"{'; '.join(clauses)}, on the mean over data sets of this kind" if clauses else ""
    incomplete = groups[Verdict.INCOMPLETE]
    if incomplete:
        names = listing([_named(each, study) for each in incomplete], SHOWN)
        lost = f"{names} {is_or_are(len(incomplete))} incomplete"
        concluded = f"{concluded}; {lost}" if concluded else lost
    return f"{capitalised(concluded)} ({where})."


def _clauses(verdict: Verdict, found: list[OverDataSets], study: PooledStudy) -> Iterator[str]:
    words = {
        Verdict.HIGHER: "higher than",
        Verdict.LOWER: "lower than",
        Verdict.EQUAL: f"equal{_within(study)} to",
        Verdict.IDENTICAL: "identical to",
    }
    terms = [each.term for each in found if each.term is not None]
    if terms and verdict in (Verdict.HIGHER, Verdict.LOWER):
        yield from (
            term_clause(replace(each.term, estimate=each.found.mean))
            for each in found
            if each.term is not None
        )
    elif terms and verdict in (Verdict.EQUAL, Verdict.INCONCLUSIVE):
        none = f"{is_or_are(len(terms))} equal{_within(study)} to none"
        names = listing([quoted(term.name) for term in terms], SHOWN)
        yield f"{names} {none if verdict is Verdict.EQUAL else f'{is_or_are(len(terms))} inconclusive'}"
    compared = [each for each in found if each.term is None]
    for against in dict.fromkeys(each.against for each in compared):
        members = [quoted(each.variant) for each in compared if each.against == against]
        if verdict in words:
            yield f"{listing(members, SHOWN)} {is_or_are(len(members))} {words[verdict]} {quoted(against)}"
        elif verdict is Verdict.INCONCLUSIVE:
            verb = "does" if len(members) == 1 else "do"
            yield f"{listing(members, SHOWN)} {verb} not differ detectably from {quoted(against)}"


def _line(each: OverDataSets, study: PooledStudy) -> str:
    metric, found, label = study.metric, each.found, _named(each, study)
    single = listing([_on(on.dataset, on.paired.n, on.paired.delta, study) for on in each.each], 99)
    if found.k < FEWEST:
        if not study.is_pooled:
            return f"{label}: {single}."
        few = f"only {counted(found.k, 'data set')} {'has' if found.k == 1 else 'have'} a paired seed"
        return f"{label}: {each.verdict}, not pooled, as {few}. On each: {single}."
    parts = [_verdict_words(each, study)]
    parts.append(f"{metric.signed(found.mean)}{metric.unit} on the mean of {found.k} data sets")
    if found.alike:
        parts.append("the same on every data set, which leaves nothing to test or to predict by")
    else:
        parts.append(metric.confidence(*found.interval))
    if not math.isnan(each.p_holm) and each.verdict is not Verdict.INSENSITIVE:
        parts.append(f"Holm p {p_phrase(each.p_holm)}")
    clauses = [", ".join(parts)]
    if not found.alike:
        low, high = (metric.signed(end) for end in found.prediction)
        clauses.append(
            f"on a new data set of this kind as many seeds would show {low} to {high} "
            "(95 % prediction interval)"
        )
    clauses += _heterogeneity(each, study)
    return f"{label}: {'; '.join(clauses)}. On each: {single}."


def _named(each: OverDataSets, study: PooledStudy) -> str:
    """The contrast in a sentence."""
    if each.term is not None:
        return name(each, study)
    return f"{quoted(each.variant)} against {quoted(each.against)}"


def _verdict_words(each: OverDataSets, study: PooledStudy) -> str:
    if each.verdict is Verdict.INCOMPLETE:
        lost = [label for label in each.without_pair if label in study.pool]
        return f"incomplete, without a paired seed on {listing(lost)}"
    if each.verdict in (Verdict.HIGHER, Verdict.LOWER) and each.p_equal < ALPHA:
        return f"{each.verdict}, yet equal{_within(study)}"
    return f"{each.verdict}{_within(study) if each.verdict is Verdict.EQUAL else ''}"


def _on(dataset: str, n: int, delta: float, study: PooledStudy) -> str:
    return f"{dataset} {study.metric.signed(delta) if n else 'no paired seed'}"


def _heterogeneity(each: OverDataSets, study: PooledStudy) -> Iterator[str]:
    """How much data sets differ beyond the noise of their seeds; nothing where neither is there."""
    found = each.found
    if math.isnan(found.tau):
        yield "how much data sets differ beyond the noise of their seeds is unknown"
        return
    tau = f"tau {study.metric.text(found.tau)}{study.metric.unit}"
    if not math.isnan(found.p_heterogeneity):
        share = "" if found.alike else f", I\N{SUPERSCRIPT TWO} {number(100 * found.i_squared, 0)} %"
        detected = "differ" if is_heterogeneous(found) else "do not differ detectably"
        size = f"{tau}{share}, p {p_phrase(found.p_heterogeneity)}"
        yield f"data sets {detected} beyond the noise of their seeds ({size})"
    elif not found.alike:
        yield f"data sets differ ({tau}), with no noise of seeds to test that by"


def _worth(study: PooledStudy) -> Iterator[str]:
    if study.is_pooled:
        yield SAMPLE
        yield from _unequal_seeds(study)
    yield from _not_single(study)
    unknown = [part.title for part in study.parts if part.comparison.sensitive is None]
    if study.insensitive:
        yield _insensitive(study)
    if unknown:
        yield (
            f"Sensitivity: unknown on {listing(unknown)}; where nothing is detected there, there may be "
            f"nothing, or "
            "the study may be unable to see it."
        )
    if not study.insensitive and not unknown:
        yield "Sensitivity: on every data set the positive control is told from the reference."
    if study.insensitive and study.is_pooled:
        them = "it" if len(study.insensitive) == 1 else "them"
        for each in study.declared:
            if each.over_all.k == each.found.k:  # it has no paired seed there
                continue
            low, high = each.over_all.interval
            yield (
                f"With {them}, {_named(each, study)} would be "
                f"{study.metric.signed(each.over_all.mean)}{study.metric.unit} "
                f"({study.metric.confidence(low, high)})."
            )
    mixed = [part.title for part in study.parts if part.notes]
    if mixed:
        yield f"Caveats of {listing(mixed)} stand with {'its' if len(mixed) == 1 else 'their'} own answers."


def _insensitive(study: PooledStudy) -> str:
    many = len(study.insensitive) > 1
    left_out = "they are left out of the pool" if many else "it is left out of the pool"
    verdict = left_out if study.is_pooled else f"{'their' if many else 'its'} own differences say nothing"
    return (
        f"Sensitivity: {_blind(study)}; {verdict}. Train longer there (a larger scale), or declare a study "
        f"without {'them' if many else 'it'}."
    )


def _blind(study: PooledStudy) -> str:
    return f"{listing(study.insensitive)} cannot tell the positive control from the reference"


def _fewer(study: PooledStudy) -> str:
    """That some contrasts have fewer data sets than are pooled."""
    fewer = any(each.found.k < len(study.pool) for each in study.contrasts)
    return ", or over those of them that have a paired seed of the contrast" if fewer else ""


def _unequal_seeds(study: PooledStudy) -> Iterator[str]:
    """What other numbers of seeds mean: an interval is exact only for equal ones."""
    counts = {
        label: {on.paired.n for each in study.contrasts for on in each.each if on.dataset == label} - {0}
        for label in study.pool
    }
    told = {label: max(own) for label, own in counts.items() if own}
    if len(set().union(*counts.values())) > 1:
        numbers = listing(
            [
                f"{label} up to {most}" if len(counts[label]) > 1 else f"{label} {most}"
                for label, most in told.items()
            ],
            99,
        )
        yield (
            f"Numbers of paired seeds differ ({numbers}): every data set still counts the same, and "
            "intervals over data sets are approximate."
        )


def _not_single(study: PooledStudy) -> Iterator[str]:
    """Which terms of a grid the page over data sets leaves out."""
    if study.not_single:
        names = [quoted(term) for term in study.not_single]
        many = len(names) > 1
        yield (
            f"Not here: {listing(names)}, which {'compare' if many else 'compares'} several levels at once "
            f"and so {'have' if many else 'has'} no single difference to pool; "
            f"each data set's own report has {'them' if many else 'it'}."
        )


def _within(study: PooledStudy) -> str:
    margin = study.parts[0].comparison.description.equivalence_margin
    return "" if margin is None else f" within {PLUS_MINUS}{study.metric.text(margin)}{study.metric.unit}"


def _plan(study: PooledStudy) -> str:
    changed = [
        f"{part.title}: {'; '.join(one_line(change) for change in plan.changes)}"
        for part in study.parts
        if (plan := part.comparison.description.plan) is not None and plan.changes
    ]
    return f"Changed since the analysis plan was recorded: {'; '.join(changed)}." if changed else ""
