"""What several data sets allow to conclude, in sentences: the answer, and what stands with the table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cmae_ablate.report.caption import interval_words, plan_sentence
from cmae_ablate.report.pooled import OverDataSets, PooledStudy
from cmae_ablate.report.pooled_values import named, within
from cmae_ablate.report.pooled_worth import (
    NEEDS_THREE,
    SAMPLE,
    blind,
    fewer,
    insensitive,
    not_single,
    unequal_seeds,
    worth,
)
from cmae_ablate.report.random_effects import FEWEST, is_heterogeneous
from cmae_ablate.report.stats import ALPHA
from cmae_ablate.report.term_words import term_clause
from cmae_ablate.report.verdict import Verdict
from cmae_ablate.report.wording import (
    DAGGER,
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
    return PooledAnswer(_headline(study), lines, tuple(worth(study)), _plan(study))


def pooled_note(study: PooledStudy) -> str:
    """What the reader of the table must know: what is pooled, by which intervals, and what they promise."""
    description = study.parts[0].comparison.description
    sentences = [
        f"Mean differences on {listing(study.datasets)}, each paired by seed; {interval_words(description)}.",
        *_conditions(study),
    ]
    if any(each.term is not None for each in study.contrasts):
        sentences.append(
            "A term of the grid has here an interval by its own seeds alone, which is not that of the data "
            "set's own report: there, all of the grid's contrasts say how much seeds vary."
        )
    if study.is_pooled:
        sentences += [
            f"{SAMPLE} Its 95 % interval is Student's over {counted(len(study.pool), 'data set')}"
            f"{fewer(study)}, and Holm's correction of its p covers "
            f"{counted(len(study.declared), 'declared contrast')}.",
            *unequal_seeds(study),
            "The 95 % prediction interval holds what as many seeds on a new data set of this kind will show; "
            "of its true difference it is cautious.",
            "tau: standard deviation of true differences over data sets; "
            "I\N{SUPERSCRIPT TWO}: its share of the variance seen between them.",
        ]
    else:
        sentences.append(f"Nothing is pooled: {NEEDS_THREE}.")
    sentences += not_single(study)
    if any(each.family != "declared" for each in study.contrasts):
        sentences.append(f"{DAGGER} exploratory: not corrected for being one of many.")
    if study.insensitive:
        sentences.append(insensitive(study))
    sentences = [sentence for sentence in sentences if sentence]
    plans = {part.title: plan_sentence(part.comparison.description.plan) for part in study.parts}
    if len(set(plans.values())) == 1:
        return " ".join([*sentences, *set(plans.values())])
    return " ".join([*sentences, *(f"{label}: {sentence}" for label, sentence in plans.items())])


def _conditions(study: PooledStudy) -> Iterator[str]:
    """How all were measured and trained, each sentence once; what only some have, with their labels."""
    parts = {part.title: part.comparison.description for part in study.parts}
    protocols = {of.protocols.get(study.metric.name, "") for of in parts.values()}
    if len(protocols) > 1:
        yield f"How {study.metric.words} was measured differs: each data set's own report tells it."
    yield from map(one_line, protocols if len(protocols) == 1 else ())
    told: dict[str, list[str]] = {}
    for label, of in parts.items():
        # Where epochs are equal, as usual, that note is about columns that this table has not.
        notes = [note for note in of.notes if of.budget != "epochs" or note != of.budget_note]
        for sentence in (f"Scale: {of.scale}; {counted(of.seeds, 'planned seed')}", *map(one_line, notes)):
            told.setdefault(sentence, []).append(label)
    for sentence, labels in told.items():
        ended = sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
        yield ended if len(labels) == len(parts) else f"{listing(labels)}: {ended}"


def _headline(study: PooledStudy) -> str:
    pooled = len(study.pool) if study.is_pooled else len(study.parts)
    where = f"{study.metric.words}, {counted(pooled, 'data set')}"
    if not study.declared:
        return f"No answer: no contrast is declared ({where})."
    if not study.is_pooled:
        why = f"{blind(study)}, and {NEEDS_THREE}" if study.insensitive else NEEDS_THREE
        return f"Side by side, nothing pooled ({where}): {why}."
    groups: Mapping[Verdict, list[OverDataSets]] = {verdict: [] for verdict in Verdict}
    for each in study.declared:
        groups[each.verdict].append(each)
    clauses = [clause for verdict, found in groups.items() for clause in _clauses(verdict, found, study)]
    concluded = f"{'; '.join(clauses)}, on the mean over data sets of this kind" if clauses else ""
    incomplete = groups[Verdict.INCOMPLETE]
    if incomplete:
        names = listing([named(each, study) for each in incomplete], SHOWN)
        lost = f"{names} {is_or_are(len(incomplete))} incomplete"
        concluded = f"{concluded}; {lost}" if concluded else lost
    return f"{capitalised(concluded)} ({where})."


def _clauses(verdict: Verdict, found: list[OverDataSets], study: PooledStudy) -> Iterator[str]:
    words = {
        Verdict.HIGHER: "higher than",
        Verdict.LOWER: "lower than",
        Verdict.EQUAL: f"equal{within(study)} to",
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
        none = f"{is_or_are(len(terms))} equal{within(study)} to none"
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
    metric, found, label = study.metric, each.found, named(each, study)
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


def _verdict_words(each: OverDataSets, study: PooledStudy) -> str:
    if each.verdict is Verdict.INCOMPLETE:
        lost = [label for label in each.without_pair if label in study.pool]
        return f"incomplete, without a paired seed on {listing(lost)}"
    if each.verdict in (Verdict.HIGHER, Verdict.LOWER) and each.p_equal < ALPHA:
        return f"{each.verdict}, yet equal{within(study)}"
    return f"{each.verdict}{within(study) if each.verdict is Verdict.EQUAL else ''}"


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


def _plan(study: PooledStudy) -> str:
    changed = [
        f"{part.title}: {'; '.join(one_line(change) for change in plan.changes)}"
        for part in study.parts
        if (plan := part.comparison.description.plan) is not None and plan.changes
    ]
    return f"Changed since the analysis plan was recorded: {'; '.join(changed)}." if changed else ""
