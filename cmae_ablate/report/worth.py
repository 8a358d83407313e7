"""What an answer is worth, in words: sensitivity, resolution, and what changed since the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cmae_ablate.report.controls import FROM_SCRATCH, Sensitivity
from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.factorial import Term
from cmae_ablate.report.seed_rule import REASONS, SeedRule
from cmae_ablate.report.verdict import Verdict, judge, needs_seeds
from cmae_ablate.report.wording import counted, p_phrase, quoted, seeds_phrase, significant


def worth(comparison: Comparison, sensitivity: Sensitivity, terms: Sequence[Term]) -> Iterator[str]:
    yield sensitivity_sentence(comparison, sensitivity)
    yield resolution_sentence(comparison, sensitivity, terms)
    if comparison.description.rule is not None:
        yield seeds_sentence(comparison, comparison.description.rule)
    if comparison.description.redraws:
        yield (
            "Draws: each seed has images of its own, the same for all variants; intervals cover new draws of "
            "the data, and no second interval over test images is needed."
        )
    if not terms and any(
        judge(e, comparison.sensitive) is Verdict.INCONCLUSIVE and needs_seeds(e) for e in comparison.declared
    ):
        yield (
            "Plan the number of seeds before a study is run. Seeds that are added because of this table and "
            "tested together with it find differences that do not exist in about 10 % of studies instead of "
            f"5 %; count only the added ones (rows of trials.csv from seed {_next_seed(comparison)})."
        )


def caption_words(comparison: Comparison, sensitivity: Sensitivity, resolution: str) -> str:
    """Whether the study can see anything, and how finely: with its consequence where it cannot."""
    told = insensitive if comparison.sensitive is False else sensitivity_sentence
    return f"{told(comparison, sensitivity)} {resolution}"


def _next_seed(comparison: Comparison) -> int:
    """The first that is neither planned nor in the table already."""
    return max(comparison.description.seeds, *(int(seed) + 1 for seed in comparison.values.index))


def seeds_sentence(comparison: Comparison, rule: SeedRule) -> str:
    """By which rule seeds were added, and why it stopped, or that it has not."""
    standings = [e.standing for e in comparison.declared if e.standing is not None]
    ends = ((REASONS[reason], [e for e in standings if e.settled == reason]) for reason in REASONS)
    told = [f"{len(found)} {words}" for words, found in ends if found]
    going_on = sum(e.settled is None for e in standings)
    told += [f"{going_on} not settled yet"] if going_on else []
    return (
        f"Seeds: added by the rule declared beforehand ({rule.words}). "
        f"{counted(len(standings), 'contrast')}: {', '.join(told)}. "
        f"Intervals and p values allow for all looks{_correlating(rule) if len(standings) > 1 else ''}."
    )


def _correlating(rule: SeedRule) -> str:
    return ", and for how closely contrasts correlate" if rule.sharing == "correlation" else ""


def sensitivity_sentence(comparison: Comparison, sensitivity: Sensitivity) -> str:
    """Whether the study tells a reference that is known to be worse."""
    control, metric = sensitivity.control, comparison.metric
    if control is None:
        return (
            "Sensitivity: unknown, as no positive control was measured; where nothing is detected, there may "
            "be nothing, or the study may be unable to see it."
        )
    result, reference = control.paired, quoted(comparison.reference.variant)
    if sensitivity.sensitive is None:
        named = f"the positive control{_control(comparison)}"
        if result.n < 2:
            return f"Sensitivity: unknown, as {named} has too few paired seeds for a test."
        return f"Sensitivity: unknown, as {named} differs alike in every seed: no noise to test by."
    if result.noiseless:
        named = f"its positive control{_control(comparison)}"
        return f"Sensitivity: {reference} reads exactly as {named} in every seed: not detected."
    way = "above" if result.delta > 0 else "below"
    size = f"{metric.text(abs(result.delta))}{metric.unit} {way} its positive control{_control(comparison)}"
    p = "" if math.isnan(result.p) else f", p {p_phrase(result.p)}"
    told = "detected" if sensitivity.sensitive else "not detected"
    if sensitivity.reads_backwards:
        told = "detected the wrong way round"
    interval = metric.confidence(result.ci_low, result.ci_high)
    return f"Sensitivity: {reference} reads {size}, {interval}{p}: {told}."


def resolution_sentence(comparison: Comparison, sensitivity: Sensitivity, terms: Sequence[Term] = ()) -> str:
    """How fine the intervals are beside what pretraining brings at all."""
    gain, metric = sensitivity.gain, comparison.metric
    if gain is None or gain.paired.n == 0:
        return f"Resolution: unknown, as no encoder without pretraining was measured in {metric.words}."
    ends = [(t.ci_low, t.ci_high) for t in terms] or [
        (e.paired.ci_low, e.paired.ci_high) for e in comparison.declared if not e.paired.noiseless
    ]
    found = [r for low, high in ends if not math.isnan(r := sensitivity.resolution(low, high))]
    brings = (
        f"what pretraining brings {quoted(comparison.reference.variant)} over {_floor(gain.control)} "
        f"({metric.signed(gain.paired.delta)}{metric.unit})"
    )
    if sensitivity.benefit <= 0:
        where = "on the wrong side of zero" if sensitivity.benefit else "zero"
        return f"Resolution: none, as there is no gain: {brings} is {where}."
    if not found:
        return f"Resolution: unknown, as no interval can be set beside {brings}."
    low, high = (_times(end(found)) for end in (min, max))
    if len(found) == 1:
        return f"Resolution: the 95 % interval's half-width is {low} of {brings}."
    span = low if low == high else f"{low} to {high}"
    return f"Resolution: the 95 % intervals' half-widths are {span} of {brings}."


def _floor(control: str) -> str:
    return "training from scratch" if control == FROM_SCRATCH else control


def _times(share: float) -> str:
    """Two decimals, or as many as show that an interval has a width."""
    return f"{share:.2f}" if share >= 0.005 else significant(share, 1)


def insensitive(comparison: Comparison, sensitivity: Sensitivity) -> str:
    control = sensitivity.control
    assert control is not None, "a study is insensitive by its positive control"
    backwards = sensitivity.reads_backwards
    reads = "reads detectably better than" if backwards else "does not differ detectably from"
    return (
        f"Insensitive ({seeds_phrase([control.paired.n])}): even the positive control{_control(comparison)}, "
        f"known to be worse, {reads} {quoted(comparison.reference.variant)} in {comparison.metric.words}, "
        "so the study says nothing about its variants."
    )


def plan_changes(comparison: Comparison) -> str:
    plan = comparison.description.plan
    if plan is None or not plan.changes:
        return ""
    return f"Changed since the analysis plan of {plan.when}: {'; '.join(plan.changes)}."


def _control(comparison: Comparison) -> str:
    words = comparison.description.positive_control
    return f" ({words})" if words else ""
