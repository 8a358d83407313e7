"""What the numbers allow to conclude of one comparison, in one word and in words; never 'not significant'."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from cmae_ablate.report.effects import DECLARED, EXPLORATORY, REFERENCE, Comparison, Effect
from cmae_ablate.report.factorial import LEVEL, Term
from cmae_ablate.report.stats import ALPHA
from cmae_ablate.report.wording import PLUS_MINUS, counted


class Verdict(StrEnum):
    """The conclusions there are.

    `INSENSITIVE`: the study does not tell its positive control from its reference either, so that nothing is
    concluded of any comparison. `IDENTICAL`: equal weights for every seed, and only then.
    """

    HIGHER = "higher"
    LOWER = "lower"
    EQUAL = "equal"
    INCONCLUSIVE = "inconclusive"
    INSENSITIVE = "insensitive"
    IDENTICAL = "identical"
    INCOMPLETE = "incomplete"


def is_detected(effect: Effect) -> bool:
    """A declared difference that Holm's correction leaves below 5 %, with noise to judge it by."""
    return effect.p_holm < ALPHA and not effect.paired.noiseless


def is_equal(effect: Effect) -> bool:
    """A declared comparison whose two one-sided tests, Holm-corrected, keep it inside the margin."""
    return effect.equivalence_p_holm < ALPHA and not effect.paired.noiseless


def judge(effect: Effect, sensitive: bool | None) -> Verdict:
    """The conclusion about one comparison.

    Args:
        effect: Not the reference's own row.
        sensitive: Whether the study tells its positive control from its reference; None: unknown.
    """
    if effect.paired.n == 0:
        return Verdict.INCOMPLETE
    if effect.identical:
        return Verdict.IDENTICAL
    if sensitive is False:
        return Verdict.INSENSITIVE
    if is_detected(effect):
        return Verdict.HIGHER if effect.paired.delta > 0 else Verdict.LOWER
    return Verdict.EQUAL if is_equal(effect) else Verdict.INCONCLUSIVE


def judge_term(term: Term, sensitive: bool | None) -> Verdict:
    """The conclusion about one term of a grid; of several levels at once there is no direction."""
    if term.n == 0:
        return Verdict.INCOMPLETE
    if sensitive is False:
        return Verdict.INSENSITIVE
    if term.levels and term.p_holm < ALPHA:
        return Verdict.HIGHER if term.estimate > 0 else Verdict.LOWER
    return Verdict.EQUAL if term.p_equal < ALPHA else Verdict.INCONCLUSIVE


def seen_at_once(term: Term, sensitive: bool | None) -> str:
    """What a detected term of several levels shows, as it has no direction; empty of any other."""
    if term.levels or sensitive is False or not term.p_holm < ALPHA:
        return ""
    return "levels differ" if len(term.factors) == 1 else "they interact"


def term_open_among(term: Term, terms: Sequence[Term], sensitive: bool | None) -> int:
    """How many terms of the family leave one open that is below 5 % by itself; else 0."""
    family = [each for each in terms if each.kind != LEVEL]
    is_open = judge_term(term, sensitive) is Verdict.INCONCLUSIVE and not term.p_holm < ALPHA
    return len(family) if is_open and term.kind != LEVEL and term.p < ALPHA else 0


def phrase(effect: Effect, comparison: Comparison) -> str:
    """The conclusion for a table's cell, with the reason where there is none."""
    if effect.family == REFERENCE:
        return REFERENCE
    verdict = judge(effect, comparison.sensitive)
    reasons = {
        Verdict.INCOMPLETE: ": no paired seed",
        Verdict.IDENTICAL: ": the same weights in every seed",
        Verdict.INSENSITIVE: "",
    }
    if verdict in reasons:
        return f"{verdict}{reasons[verdict]}"
    if effect.family != DECLARED:
        return f"{EXPLORATORY}: {_exploratory(effect, comparison)}"
    if verdict is Verdict.INCONCLUSIVE:
        among = f" among {counted(effect.among, 'comparison')}" if is_open_among_many(effect) else ""
        return f"{verdict}{among}{why_inconclusive(effect, comparison)}"
    words = [] if verdict is Verdict.EQUAL else [str(verdict)]
    margin = comparison.description.equivalence_margin
    if margin is not None and is_equal(effect):
        words.append(f"equal {comparison.metric.within(margin)}")
    return ", ".join(words)


def _exploratory(effect: Effect, comparison: Comparison) -> str:
    if effect.paired.p < ALPHA and not effect.paired.noiseless:
        return "a hint at most"
    return f"{Verdict.INCONCLUSIVE}{why_inconclusive(effect, comparison)}"


def is_open_among_many(effect: Effect) -> bool:
    """Below 5 % by itself, and not once the whole family is allowed for."""
    return effect.among > 1 and effect.p_declared < ALPHA <= effect.p_holm and not effect.paired.noiseless


def why_inconclusive(effect: Effect, comparison: Comparison) -> str:
    """Why nothing is concluded, or how many seeds would change that; with its semicolon, or nothing."""
    metric, result = comparison.metric, effect.paired
    if result.n < 2:
        return "; a single paired seed gives no interval and no test"
    if result.noiseless and result.delta == 0:
        if not metric.is_accuracy:
            return f"; the same {metric.words} in every seed"
        grain = f", where one image is {metric.text(effect.one_image)} points" if effect.one_image > 0 else ""
        return f"; the same number of right answers in every seed{grain}"
    if result.noiseless:
        return "; the same difference in every seed leaves no noise to test by"
    if comparison.description.rule is not None:
        return _by_rule(effect, comparison)
    return _seeds_needed(effect, comparison)


def _by_rule(effect: Effect, comparison: Comparison) -> str:
    """Where an undecided contrast stands by the study's rule for adding seeds."""
    standing, metric, rule = effect.standing, comparison.metric, comparison.description.rule
    if standing is None or rule is None:
        return ""
    if math.isnan(standing.half_width):
        first = counted(rule.looks.first, "seed")
        if standing.settled is None:
            return f"; not looked at yet, which needs {first} of every contrast"
        return f"; not judged, as fewer than {first} are complete"
    width = f"{PLUS_MINUS}{metric.text(standing.half_width)}{metric.unit}"
    width += " together with the others" if effect.among > 1 else ""
    if standing.settled is None:
        return f"; not settled yet, {width}"
    if standing.settled == "narrow":
        return f"; as narrow as asked for, {width}"
    return f"; {counted(effect.paired.n, 'seed')} are the most that the study allows, {width}"


def needs_seeds(effect: Effect) -> bool:
    """Whether a feasible number of seeds, larger than the present one, is named."""
    return effect.paired.n > 1 and effect.paired.n < effect.required_pairs < math.inf


def _seeds_needed(effect: Effect, comparison: Comparison) -> str:
    size = f"{comparison.metric.text(effect.effect_of_interest)}{comparison.metric.unit}"
    needed = effect.required_pairs
    if math.isnan(needed):
        return ""
    if math.isinf(needed):
        return f"; no feasible number of seeds would detect {size}"
    if needs_seeds(effect):
        low, high = effect.required_pairs_interval
        ends = f"{low:,.0f} to {'any number' if math.isinf(high) else f'{high:,.0f}'}"
        return (
            f"; about {counted(round(needed), 'paired seed')} ({ends}, as the noise is uncertain) "
            f"would detect {size} with 80 % power"
        )
    return f"; {counted(effect.paired.n, 'paired seed')} would detect {size} with 80 % power"
