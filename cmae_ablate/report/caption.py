"""What stands with a table, in sentences: the question, how it was measured and tested, what to beware of."""

from __future__ import annotations

from collections.abc import Sequence

from cmae_ablate.report.effect import DUNNETT
from cmae_ablate.report.effects import EXPLORATORY, Comparison, Effect
from cmae_ablate.report.frame import PlanStatus, StudyDescription
from cmae_ablate.report.short_labels import ShortLabels
from cmae_ablate.report.variance import MODERATED, POOLED
from cmae_ablate.report.verdict import is_equal
from cmae_ablate.report.wording import (
    ADDED_NOTE,
    DAGGER,
    EXPLORATORY_NOTE,
    PLUS_MINUS,
    Metric,
    capitalised,
    counted,
    listing,
    one_line,
)

VARIANCES = {
    POOLED: "by one variance, pooled over all variants (its own intervals: effects.csv)",
    MODERATED: "by variances drawn towards the study's mean (their own intervals: effects.csv)",
}
"""What is tested by where it is not each comparison's own variance."""


def caption_title(comparison: Comparison) -> str:
    """The question, and what differences are taken from."""
    study = comparison.description
    reference = f"from \u2018{one_line(study.reference)}\u2019"
    differences = (
        f"paired by seed, and {reference} unless a row says otherwise"
        if comparison.others
        else f"{reference}, paired by seed"
    )
    return _sentences(one_line(study.question), f"Differences are {differences}")


def caption_note(
    comparison: Comparison, worth: str = "", *, costs: Sequence[str] = (), cost_marks: str = ""
) -> str:
    """Protocol, seeds, interval, correction, plan, marks, in sentences; then `worth`, costs, their marks."""
    study = comparison.description
    added = f"; {ADDED_NOTE}" if any(e.planned for e in comparison.contrasts) else ""
    planned = counted(study.seeds, "planned seed") if study.rule is None else "seeds by rule"
    sentences = [
        "Variants are named by what differs from the reference." if ShortLabels.of(study).shortens else "",
        f"Mean {PLUS_MINUS} standard deviation over n seeds; {interval_words(study)}.",
        family_sentence(comparison),
        _equal_sentence(comparison),
        *_protocols(study),
        f"Scale: {study.scale}; {planned}{added}.",
        plan_sentence(study.plan),
        *(one_line(note) for note in study.notes),
        worth,
    ]
    meanings = "; ".join(dict.fromkeys(filter(None, costs)))
    return _sentences(*sentences, capitalised(meanings), cost_marks)


def _protocols(study: StudyDescription) -> list[str]:
    """How each metric was measured, each sentence once; with whose it is where there are several."""
    measured: dict[str, list[str]] = {}
    for metric in dict.fromkeys((study.metric, *study.report)):
        if metric in study.protocols:
            measured.setdefault(one_line(study.protocols[metric]), []).append(Metric.named(metric).words)
    if len(measured) < 2:
        return [*measured]
    return [f"{capitalised(listing(words))}: {sentence}" for sentence, words in measured.items()]


def interval_words(study: StudyDescription) -> str:
    """What the table's intervals are, and by which rule seeds were added, if by one."""
    name = f"two-sided 95 % {study.interval}s"
    if study.redraws:
        name += (
            ", which cover new draws of the data, test images included, since each seed has a draw of its own"
        )
    if study.rule is None:
        return name
    return (
        f"{name}, which hold whenever a contrast stops; seeds were added by the rule declared beforehand: "
        f"{study.rule.words}"
    )


def _sentences(*sentences: str) -> str:
    return " ".join(s if s.endswith((".", "?", "!")) else f"{s}." for s in sentences if s)


def family_sentence(comparison: Comparison) -> str:
    """By what is tested, which tests the correction covers, and what is exploratory; empty without any."""
    study = comparison.description
    marks = [f"{DAGGER} exploratory"] if any(e.family == EXPLORATORY for e in comparison.contrasts) else []
    if comparison.declared or study.tests_terms:
        kind = "stepwise test" if comparison.correction == DUNNETT else "correction"
        marks.insert(0, f"{comparison.correction}'s {kind} covers {_covered(study)}")
    if comparison.variance in VARIANCES:
        marks.insert(0, f"p {VARIANCES[comparison.variance]}")
    return f"{'; '.join(marks)}." if marks else ""


def _covered(study: StudyDescription) -> str:
    if study.tests_terms:
        return "the grid's main effects and two-way interactions (factorial.csv)"
    if study.family == study.against_reference:
        return "every variant in the table"
    return "the study's contrasts"  # declared, or its design's own


def _equal_sentence(comparison: Comparison) -> str:
    """Which differences are within the declared margin: the table's own p is of a difference, not of this."""
    margin = comparison.description.equivalence_margin
    if margin is None or comparison.sensitive is False:
        return ""
    if comparison.description.tests_terms:
        return (
            f"Which terms are equal {comparison.metric.within(margin)}, by two one-sided tests after Holm's "
            "correction: p_equal in factorial.csv."
        )
    names = ShortLabels.of(comparison.description)
    found = [names.compared(e.variant, e.against) for e in comparison.declared if is_equal(e)]
    told = listing(found, len(found)) or "none"
    return (
        f"Equal {comparison.metric.within(margin)} by two one-sided tests, after Holm's correction: {told}."
    )


def mark_words(effects: Sequence[Effect]) -> str:
    """What the marks behind a table's differences mean; empty without any."""
    marks = (
        (any(e.planned for e in effects), ADDED_NOTE),
        (any(e.family == EXPLORATORY for e in effects), EXPLORATORY_NOTE),
    )
    return "; ".join(words for is_there, words in marks if is_there)


def plan_sentence(plan: PlanStatus | None) -> str:
    """Since when the analysis is declared, and what is otherwise by now."""
    if plan is None:
        return "Nothing is known of an analysis plan."
    changes = "; ".join(one_line(change) for change in plan.changes)
    return f"Analysis plan of {plan.when}{f', changed since: {changes}' if changes else ', unchanged'}."
