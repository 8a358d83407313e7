"""A grid's answer: its main effects and two-way interactions, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cmae_ablate.report.cells import SECONDS, Cells, cost_of
from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.factorial import LEVEL, Term
from cmae_ablate.report.headline import SHOWN
from cmae_ablate.report.stats import ALPHA
from cmae_ablate.report.verdict import Verdict, judge_term, seen_at_once, term_open_among
from cmae_ablate.report.wording import (
    counted,
    is_or_are,
    listing,
    p_phrase,
    quoted,
    ratio,
    seeds_phrase,
)


def answer_by_terms(
    terms: Sequence[Term], comparison: Comparison, cells: Cells
) -> tuple[str, tuple[str, ...]]:
    """A grid by its main effects and two-way interactions."""
    metric, sensitive = comparison.metric, comparison.sensitive
    if all(term.n == 0 for term in terms):
        return "Incomplete: no seed has every combination of the grid complete.", ()
    family = [term for term in terms if term.kind != LEVEL]
    lines = tuple(_term_line(term, terms, comparison, cells) for term in terms)
    seeds = seeds_phrase([max(term.n for term in terms)])
    clauses = [*_term_clauses(terms, sensitive), *_equal_clauses(terms, comparison)]
    if not clauses:
        what = f"none of {len(family)} main effects and two-way interactions is detected"
        return f"Inconclusive ({seeds}): {what} in {metric.words}.", lines
    still_open = sum(not (term.p_holm < ALPHA or term.p_equal < ALPHA) for term in family)
    if still_open:
        clauses.append(f"{counted(still_open, 'other term')} {is_or_are(still_open)} inconclusive")
    what = f"{metric.words}, {seeds}, each averaged over the other factors"
    return f"{'; '.join(clauses)} ({what}).", lines


def _term_clauses(terms: Sequence[Term], sensitive: bool | None) -> Iterator[str]:
    """What is detected, a clause each; several levels that differ only as a whole are said to."""
    found = [t for t in terms if judge_term(t, sensitive) in (Verdict.HIGHER, Verdict.LOWER)]
    yield from map(term_clause, found)
    for term in terms:
        if not term.levels and term.p_holm < ALPHA and term.factors not in [t.factors for t in found]:
            if len(term.factors) == 1:
                yield f"{term.name}: its levels differ, though no single one from the reference's"
            else:
                yield f"{listing(term.factors)} interact, though no single pair of levels detectably"


def _equal_clauses(terms: Sequence[Term], comparison: Comparison) -> Iterator[str]:
    """The terms that two one-sided tests keep inside the study's margin, in one clause."""
    margin = comparison.description.equivalence_margin
    equal = [term for term in terms if judge_term(term, comparison.sensitive) is Verdict.EQUAL]
    if equal and margin is not None:
        named = [t.name if len(t.factors) > 1 else f"{t.name} ({t.contrast})" for t in equal]
        names = listing(named, SHOWN)
        yield f"{names} {is_or_are(len(equal))} equal {comparison.metric.within(margin)}"


def term_clause(term: Term) -> str:
    """What a detected term shows, by the sign of its estimate."""
    direction = "higher" if term.estimate > 0 else "lower"
    if len(term.factors) == 1:
        return f"{term.factors[0]}: {quoted(term.levels[0])} is {direction} than {quoted(term.base[0])}"
    more = "more" if term.estimate > 0 else "less"
    parts = " and ".join(quoted(level) for level in term.levels)
    return f"{listing(term.factors)}: {parts} together give {more} than the sum of both alone"


def _term_line(term: Term, terms: Sequence[Term], comparison: Comparison, cells: Cells) -> str:
    """One of the terms that are corrected for together."""
    metric, sensitive = comparison.metric, comparison.sensitive
    verdict = judge_term(term, sensitive)
    if verdict is Verdict.INCOMPLETE:
        return f"{term.name}: incomplete, no seed has every combination complete."
    blind = verdict is Verdict.INSENSITIVE
    untested = "not tested" if term.n < 2 else "not tested, as no noise is left to test by"
    of_difference = " of a difference" if term.p_equal < ALPHA else ""
    p = untested if math.isnan(term.p_holm) else f"Holm p{of_difference} {p_phrase(term.p_holm)}"
    if of_difference:
        p += f", of equivalence {p_phrase(term.p_equal)}"
    open_among = term_open_among(term, terms, sensitive)
    among = f" among {counted(open_among, 'term')}" if open_among else ""
    if not term.levels:
        seen = seen_at_once(term, sensitive) or f"{verdict}{among}"
        return f"{term.name}: {'its ' if seen == 'levels differ' else ''}{seen}{'' if blind else f', {p}'}."
    parts = [
        f"{term.name} ({term.contrast}): {_verdict_words(term, comparison)}{among}",
        f"{metric.signed(term.estimate)}{metric.unit}",
    ]
    if not math.isnan(term.ci_low):
        parts.append(metric.confidence(term.ci_low, term.ci_high))
    parts += [f"n = {term.n}", *([] if blind else [p])]
    return f"{', '.join(parts)}{_cost(term, cells)}."


def _verdict_words(term: Term, comparison: Comparison) -> str:
    """The verdict on a term; equal within a margin, or detected and yet that."""
    verdict, margin = judge_term(term, comparison.sensitive), comparison.description.equivalence_margin
    if verdict is Verdict.INSENSITIVE or margin is None or not term.p_equal < ALPHA:
        return str(verdict)
    within = f"equal {comparison.metric.within(margin)}"
    return within if verdict is Verdict.EQUAL else f"{verdict}, yet {within}"


def _cost(term: Term, cells: Cells) -> str:
    """What a level costs beside its base, over the other factors; nothing for interactions."""
    if len(term.factors) > 1:
        return ""
    levels = cells.description.levels
    of_level = [
        [v for v in levels if levels[v].get(term.factors[0]) == level]
        for level in (term.levels[0], term.base[0])
    ]
    if not cells.conditions.alike(*of_level[0], *of_level[1]):
        return ""
    ours, theirs = ([cost_of(cells, SECONDS, v) for v in variants] for variants in of_level)
    quotient = sum(ours) / sum(theirs) if theirs and sum(theirs) > 0 else math.nan
    return "" if math.isnan(quotient) else f", at {ratio(quotient)} the pretraining time"
