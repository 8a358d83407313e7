"""What several data sets allow to conclude, in sentences: the answer, and what stands with the table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cmae_ablate.report.caption import interval_words, plan_sentence
from cmae_ablate.report.pooled import OverDataSets, PooledStudy
from cmae_ablate.report.random_effects import FEWEST, is_heterogeneous
from cmae_ablate.report.verdict import Verdict
from cmae_ablate.report.wording import (
    DAGGER,
    PLUS_MINUS,
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
    """The contrast in a table: the variant, with what it is compared with where that is not the reference."""
    reference = study.parts[0].comparison.description.reference
    return one_line(each.variant if each.against == reference else f"{each.variant} against {each.against}")


def pooled_note(study: PooledStudy) -> str:
    """What the reader of the table must know: what is pooled, by which intervals, and what they promise."""
    description = study.parts[0].comparison.description
    sentences = [
        f"Mean differences on {listing(study.datasets)}, each paired by seed; {interval_words(description)}."
    ]
    if study.is_pooled:
        sentences += [
            f"{SAMPLE} Its 95 % interval is Student's over {counted(len(study.pool), 'data set')}, and "
            f"Holm's "
            f"correction of its p covers {counted(len(study.declared), 'declared contrast')}.",
            "The 95 % prediction interval holds what as many seeds on a new data set of this kind will show; "
            "of its "
            "true difference it is cautious.",
            "tau: standard deviation of true differences over data sets; I\N{SUPERSCRIPT TWO}: its share of "
            "the "
            "variance seen between them.",
        ]
    else:
        sentences.append(f"Nothing is pooled: {NEEDS_THREE}.")
    if any(each.family != "declared" for each in study.contrasts):
        sentences.append(f"{DAGGER} exploratory: not corrected for being one of many.")
    if study.insensitive:
        sentences.append(_insensitive(study))
    plans = {plan_sentence(part.comparison.description.plan) for part in study.parts}
    return " ".join([*sentences, *sorted(plans)])


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
    text = capitalised("; ".join(clauses))
    return f"{text}, on the mean over data sets of this kind ({where})."


def _clauses(verdict: Verdict, found: list[OverDataSets], study: PooledStudy) -> Iterator[str]:
    words = {
        Verdict.HIGHER: "higher than",
        Verdict.LOWER: "lower than",
        Verdict.EQUAL: f"equal{_within(study)} to",
        Verdict.IDENTICAL: "identical to",
    }
    for against in dict.fromkeys(each.against for each in found):
        members = [quoted(each.variant) for each in found if each.against == against]
        if verdict in words:
            yield f"{listing(members, SHOWN)} {is_or_are(len(members))} {words[verdict]} {quoted(against)}"
        elif verdict is Verdict.INCONCLUSIVE:
            verb = "does" if len(members) == 1 else "do"
            yield f"{listing(members, SHOWN)} {verb} not differ detectably from {quoted(against)}"
    if found and verdict is Verdict.INCOMPLETE:
        yield f"{counted(len(found), 'contrast')} {is_or_are(len(found))} incomplete"


def _line(each: OverDataSets, study: PooledStudy) -> str:
    metric, found = study.metric, each.found
    label = f"{quoted(each.variant)} against {quoted(each.against)}"
    single = listing([_on(on.dataset, on.paired.n, on.paired.delta, study) for on in each.each], 99)
    if found.k < FEWEST:
        return f"{label}: {single}."
    parts = [
        f"{each.verdict}{_within(study) if each.verdict is Verdict.EQUAL else ''}",
        f"{metric.signed(found.mean)}{metric.unit} on the mean of {found.k} data sets",
        metric.confidence(*found.interval),
    ]
    if not math.isnan(each.p_holm) and each.verdict is not Verdict.INSENSITIVE:
        parts.append(f"Holm p {p_phrase(each.p_holm)}")
    low, high = (metric.signed(end) for end in found.prediction)
    new = (
        f"on a new data set of this kind as many seeds would show {low} to {high} (95 % prediction interval)"
    )
    return f"{label}: {', '.join(parts)}; {new}; {_heterogeneity(each, study)}. On each: {single}."


def _on(dataset: str, n: int, delta: float, study: PooledStudy) -> str:
    return f"{dataset} {study.metric.signed(delta) if n else 'no paired seed'}"


def _heterogeneity(each: OverDataSets, study: PooledStudy) -> str:
    found = each.found
    if math.isnan(found.p_heterogeneity):
        return "how much data sets differ beyond the noise of their seeds is unknown"
    size = (
        f"tau {study.metric.text(found.tau)}{study.metric.unit}, I\N{SUPERSCRIPT TWO} "
        f"{number(100 * found.i_squared, 0)} %, p {p_phrase(found.p_heterogeneity)}"
    )
    detected = "differ" if is_heterogeneous(found) else "do not differ detectably"
    return f"data sets {detected} beyond the noise of their seeds ({size})"


def _worth(study: PooledStudy) -> Iterator[str]:
    if study.is_pooled:
        yield SAMPLE
    if study.insensitive:
        yield _insensitive(study)
    elif study.sensitive is None:
        unknown = [part.title for part in study.parts if part.comparison.sensitive is None]
        yield (
            f"Sensitivity: unknown on {listing(unknown)}; where nothing is detected there, there may be "
            f"nothing, or "
            "the study may be unable to see it."
        )
    else:
        yield "Sensitivity: on every data set the positive control is told from the reference."
    if study.insensitive and study.is_pooled:
        for each in study.declared:
            low, high = each.over_all.interval
            yield (
                f"With it, {quoted(each.variant)} against {quoted(each.against)} would be "
                f"{study.metric.signed(each.over_all.mean)}{study.metric.unit} "
                f"({study.metric.confidence(low, high)})."
            )
    mixed = [part.title for part in study.parts if part.cells.notes]
    if mixed:
        yield f"Caveats of {listing(mixed)} stand with {'its' if len(mixed) == 1 else 'their'} own answers."


def _insensitive(study: PooledStudy) -> str:
    many = len(study.insensitive) > 1
    left_out = "they are left out of the pool" if many else "it is left out of the pool"
    verdict = left_out if study.is_pooled else f"{'their' if many else 'its'} own differences say nothing"
    return (
        f"Sensitivity: {_blind(study)}; {verdict}. Train longer there (a larger scale), or declare a study "
        "without it."
    )


def _blind(study: PooledStudy) -> str:
    return f"{listing(study.insensitive)} cannot tell the positive control from the reference"


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
