"""`answer.json`: the answer as data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmae_ablate.report.anova import TIMES
from cmae_ablate.report.controls import Sensitivity
from cmae_ablate.report.effects import DECLARED, Comparison, Effect
from cmae_ablate.report.factorial import Term
from cmae_ablate.report.verdict import (
    Verdict,
    is_open_among_many,
    judge,
    judge_term,
    seen_at_once,
    term_open_among,
)
from cmae_ablate.report.wording import json_number

COMPARED = ("variant", "against", "family", "verdict")
"""What every `answer.json` says of a comparison first."""


@dataclass(frozen=True)
class Judged:
    """One comparison with its verdict, as `answer.json` lists it.

    Attributes:
        variant: A variant, or a term of a grid.
        against: A variant, or the level that a grid's effect is measured from.
        family: `declared`, in Holm's family, or `exploratory`.
        resolution: Half the 95 % interval over the gain of pretraining; NaN where there is none, or unknown.
        settled: Why the rule for adding seeds stopped it, `open` where it has not; None without a rule.
        open_among: How many comparisons or terms leave it open though it is not by itself; else 0.
        seen: Of a term of several levels at once, which has no direction, what is detected; else empty.
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
    settled: str | None = None
    open_among: int = 0
    seen: str = ""


def judged_all(comparison: Comparison, sensitivity: Sensitivity, terms: Sequence[Term]) -> tuple[Judged, ...]:
    """A grid's terms, where they are the declared family, and every comparison of two variants."""
    return (
        *(_judged_term(term, terms, comparison, sensitivity) for term in terms),
        *(_judged(effect, comparison, sensitivity) for effect in comparison.contrasts),
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
        math.nan if result.noiseless else sensitivity.resolution(result.ci_low, result.ci_high),
        None if effect.standing is None else effect.standing.settled or "open",
        effect.among if is_open_among_many(effect) else 0,
    )


def _judged_term(
    term: Term, terms: Sequence[Term], comparison: Comparison, sensitivity: Sensitivity
) -> Judged:
    return Judged(
        term.name,
        TIMES.join(term.base),
        DECLARED,
        judge_term(term, comparison.sensitive),
        term.estimate,
        term.ci_low,
        term.ci_high,
        term.n,
        term.p_holm,
        sensitivity.resolution(term.ci_low, term.ci_high),
        open_among=term_open_among(term, terms, comparison.sensitive),
        seen=seen_at_once(term, comparison.sensitive),
    )


def record(
    text: str, judged: Sequence[Judged], sensitivity: Sensitivity, comparison: Comparison
) -> Mapping[str, object]:
    """`answer.json`: strict JSON, with null where there is no number."""
    study, gain = comparison.description, sensitivity.gain
    return {
        "question": study.question,
        "metric": study.metric,
        "sensitive": sensitivity.sensitive,
        "text": text,
        "verdicts": [
            {
                **{name: str(getattr(each, name)) for name in COMPARED},
                "delta": json_number(each.delta),
                "ci_low": json_number(each.ci_low),
                "ci_high": json_number(each.ci_high),
                "n": each.n,
                "p_holm": json_number(each.p_holm),
                "resolution": json_number(each.resolution),
                **({} if each.settled is None else {"settled": each.settled}),
            }
            for each in judged
        ],
        "gain": json_number(gain.paired.delta) if gain is not None else None,
        "plan": None
        if study.plan is None
        else {"recorded": study.plan.recorded, "changes": list(study.plan.changes)},
        **({} if study.rule is None else {"seed_rule": study.rule.to_json() | {"words": study.rule.words}}),
    }
