"""The first sentence of an answer: which variants are higher, lower, equal or open, and by how many seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cmae_ablate.report.effects import Comparison, Effect
from cmae_ablate.report.short_labels import ShortLabels, by_against
from cmae_ablate.report.verdict import Verdict, judge
from cmae_ablate.report.wording import capitalised, is_or_are, listing, quoted, seeds_phrase

SHOWN = 3


def headline(comparison: Comparison) -> str:
    """The verdicts of all declared comparisons in one sentence, those alike together."""
    groups: dict[Verdict, list[Effect]] = {verdict: [] for verdict in Verdict}
    for effect in comparison.declared:
        groups[judge(effect, comparison.sensitive)].append(effect)
    what = f"{comparison.metric.words}, {seeds_phrase([e.paired.n for e in comparison.declared])}"
    unresolved, missing = groups[Verdict.INCONCLUSIVE], groups[Verdict.INCOMPLETE]
    if len(unresolved) + len(missing) == len(comparison.declared):
        return _nothing_detected(unresolved, missing, comparison)
    names = ShortLabels.of(comparison.description)
    if names.shortens:
        clauses = _clauses_by_reference(groups, comparison, names)
    else:
        clauses = [c for verdict, found in groups.items() for c in _clauses(verdict, found, comparison)]
    return f"{capitalised('; '.join(clauses))} ({what})."


def _told_of_many(
    effects: Sequence[Effect], verdict: Verdict, comparison: Comparison
) -> tuple[str, str] | None:
    """A verdict of variants, and of what they are compared with; None where it is counted or told alone."""
    metric, margin = comparison.metric, comparison.description.equivalence_margin
    within = f" {metric.within(margin)}" if margin is not None else ""
    words = {
        Verdict.HIGHER: ("higher than {}", "reads higher"),
        Verdict.LOWER: ("lower than {}", "reads lower"),
        Verdict.EQUAL: (f"equal to {{}}{within}", f"reads equal{within}"),
        Verdict.IDENTICAL: (
            "identical to {}, with the same weights in every seed",
            "has the same weights in every seed",
        ),
    }
    if len(effects) <= SHOWN:  # more are counted
        words[Verdict.INCONCLUSIVE] = "not detectably different from {}", "does not differ detectably"
    return words.get(verdict)


def _clauses_by_reference(
    groups: Mapping[Verdict, Sequence[Effect]], comparison: Comparison, names: ShortLabels
) -> list[str]:
    """Where labels are long, a clause for each reference: `‘a + b + c’ reads higher with ‘d’`."""
    told: dict[str, list[str]] = {}
    alone: list[str] = []
    for verdict, effects in groups.items():
        if words := _told_of_many(effects, verdict, comparison):
            for against, found in by_against(effects):
                members = [f"with {quoted(names.beside(e.variant, against))}" for e in found]
                told.setdefault(against, []).append(f"{words[1]} {listing(members, SHOWN)}")
        elif effects:
            alone.append(_told_alone(verdict, effects, comparison))
    joined = [
        f"{', '.join(parts[:-1])}, and {parts[-1]}" if parts[1:] else parts[0] for parts in told.values()
    ]
    return [*(f"{quoted(against)} {each}" for against, each in zip(told, joined, strict=True)), *alone]


def _clauses(verdict: Verdict, effects: Sequence[Effect], comparison: Comparison) -> Iterator[str]:
    """A clause for what is compared with the same variants: `‘a’ and ‘b’ are higher than ‘MAE’`."""
    words = _told_of_many(effects, verdict, comparison)
    if words is None:
        if effects:
            yield _told_alone(verdict, effects, comparison)
        return
    compared: dict[tuple[str, ...], list[str]] = {}
    for against, found in by_against(effects):
        members = tuple(quoted(e.variant) for e in found)
        if verdict is Verdict.INCONCLUSIVE:  # of each by itself: 'different from a and b' says less
            yield f"{listing(members, SHOWN)} {is_or_are(len(members))} {words[0].format(quoted(against))}"
        else:
            compared.setdefault(members, []).append(quoted(against))
    for members, others in compared.items():
        theirs = words[0].format(listing(others, SHOWN))
        yield f"{listing(members, SHOWN)} {is_or_are(len(members))} {theirs}"


def _told_alone(verdict: Verdict, effects: Sequence[Effect], comparison: Comparison) -> str:
    if len(effects) <= SHOWN:
        return f"{listing([name_of(e, comparison) for e in effects])} {is_or_are(len(effects))} {verdict}"
    return f"{len(effects)} comparisons are {verdict}"


def _nothing_detected(effects: Sequence[Effect], missing: Sequence[Effect], comparison: Comparison) -> str:
    seeds = seeds_phrase([e.paired.n for e in effects])
    if len(effects) == 1:
        (effect,) = effects
        difference = f"{quoted(effect.variant)} does not differ detectably from {quoted(effect.against)}"
    else:
        all_to_reference = {e.against for e in effects} == {comparison.reference.variant}
        if all_to_reference:
            reference = quoted(comparison.reference.variant)
            difference = f"none of {len(effects)} variants differs detectably from {reference}"
        else:
            difference = f"none of {len(effects)} contrasts shows a detectable difference"
    rest = "".join(f"; {clause}" for clause in _clauses(Verdict.INCOMPLETE, missing, comparison))
    return f"Inconclusive ({seeds}): {difference} in {comparison.metric.words}{rest}."


def name_of(effect: Effect, comparison: Comparison) -> str:
    """A comparison as sentences name it."""
    return ShortLabels.of(comparison.description).compared(effect.variant, effect.against)
