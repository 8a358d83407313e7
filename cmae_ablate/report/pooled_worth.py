"""What an answer over data sets is worth, in sentences: which are pooled, how they see, what is left out."""

from __future__ import annotations

from collections.abc import Iterator

from cmae_ablate.report.pooled import PooledStudy
from cmae_ablate.report.pooled_values import named
from cmae_ablate.report.random_effects import FEWEST
from cmae_ablate.report.wording import listing, quoted, seeds_phrase

NEEDS_THREE = (
    f"a claim about data sets of this kind needs {FEWEST} or more, since two do not show how much data sets "
    "differ"
)
SAMPLE = (
    "Pooled is the plain mean over the data sets: they stand for their kind only as far as they were chosen "
    "to."
)


def worth(study: PooledStudy) -> Iterator[str]:
    """The sentences below an answer."""
    if study.is_pooled:
        yield SAMPLE
        yield from unequal_seeds(study)
    yield from not_single(study)
    unknown = [part.title for part in study.parts if part.comparison.sensitive is None]
    if study.insensitive:
        yield insensitive(study)
    if unknown:
        yield (
            f"Sensitivity: unknown on {listing(unknown)}; where nothing is detected there, there may be "
            "nothing, or the study may be unable to see it."
        )
    if not study.insensitive and not unknown:
        yield "Sensitivity: on every data set the positive control is detected."
    if study.insensitive and study.is_pooled:
        them = "it" if len(study.insensitive) == 1 else "them"
        for each in study.declared:
            if each.over_all.k == each.found.k:  # it has no paired seed there
                continue
            low, high = each.over_all.interval
            yield (
                f"With {them}, {named(each, study)} would be "
                f"{study.metric.signed(each.over_all.mean)}{study.metric.unit} "
                f"({study.metric.confidence(low, high)})."
            )
    mixed = [part.title for part in study.parts if part.notes]
    if mixed:
        yield f"Caveats of {listing(mixed)} stand with {'its' if len(mixed) == 1 else 'their'} own answers."


def insensitive(study: PooledStudy) -> str:
    """Which data sets are insensitive, and what follows."""
    many = len(study.insensitive) > 1
    left_out = "they are left out of the pool" if many else "it is left out of the pool"
    verdict = left_out if study.is_pooled else f"{'their' if many else 'its'} own differences say nothing"
    return (
        f"Sensitivity: {blind(study)}; {verdict}. Train longer there (a larger scale), or declare a study "
        f"without {'them' if many else 'it'}."
    )


def blind(study: PooledStudy) -> str:
    """Which data sets are insensitive, as a clause."""
    return f"{listing(study.insensitive)} cannot tell the positive control from the reference"


def fewer(study: PooledStudy) -> str:
    """That some contrasts have fewer data sets than are pooled."""
    if all(each.found.k == len(study.pool) for each in study.contrasts):
        return ""
    return ", or over those of them that have a paired seed of the contrast"


def unequal_seeds(study: PooledStudy) -> Iterator[str]:
    """What other numbers of seeds mean: an interval is exact only for equal ones."""
    counts: dict[str, set[int]] = {label: set() for label in study.pool}
    differ = False
    for each in study.contrasts:
        own = {on.dataset: on.paired.n for on in each.each if on.dataset in counts and on.paired.n}
        differ = differ or len(set(own.values())) > 1
        for label, n in own.items():
            counts[label].add(n)
    if differ:
        told = [f"{label} {seeds_phrase([*own])}" for label, own in counts.items() if own]
        yield (
            f"Numbers of paired seeds differ ({listing(told, 99)}): every data set still counts the same, "
            "and intervals over data sets are approximate."
        )


def not_single(study: PooledStudy) -> Iterator[str]:
    """Which terms of a grid the page over data sets leaves out."""
    if study.not_single:
        names = [quoted(term) for term in study.not_single]
        many = len(names) > 1
        yield (
            f"Not here: {listing(names)}, which {'compare' if many else 'compares'} several levels at once "
            f"and so {'have' if many else 'has'} no single difference to pool; "
            f"each data set's own report has {'them' if many else 'it'}."
        )
