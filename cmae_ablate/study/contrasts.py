"""Which variants a study's answer compares: the pairs it declares, or its design's own."""

from __future__ import annotations

from cmae_ablate.study.design import combinations, label_of, reference_label, switched
from cmae_ablate.study.loading import Study

Contrast = tuple[str, str]
"""A variant's label, and that of the one it is compared with."""


def contrasts(study: Study) -> tuple[Contrast, ...]:
    """The (variant, against) pairs that the study's answer rests on: those declared, or its design's own.

    By default `leave_one_out` compares each variant with *all on*. Together with `add_one`, the variants of
    that are compared with *all off*, and so is all on. What other designs add is compared with the
    reference.

    Returns:
        Empty where every variant is compared with the reference, and for a `grid`, whose main effects and
        interactions answer it.
    """
    if study.contrasts:
        return study.contrasts
    if "leave_one_out" not in study.designs or "grid" in study.designs:
        return ()
    reference = reference_label(study)
    found = _own_contrasts(study)
    compared = {variant for variant, _ in found} | {_ends(study)[1]}
    labels = [label_of(levels) for levels in combinations(study)]
    found += [(label, reference) for label in labels if label not in compared and label != reference]
    to_reference = all(against == reference for _, against in found)
    return () if to_reference and len(found) == len(labels) - 1 else tuple(found)


def contrasts_note(study: Study) -> tuple[str, ...]:
    """What is compared by default, for a caption; nothing where it is declared, or all variants alike."""
    if study.contrasts or not contrasts(study):
        return ()
    off, on = _ends(study)
    told = f"each variant of leave_one_out with all on ('{on}')"
    if "add_one" in study.designs:
        told = f"each variant of add_one, and all on, with all off ('{off}'); {told}"
    return (f"No contrasts are declared, so the design's own are compared: {told}.",)


def _ends(study: Study) -> tuple[str, str]:
    """The labels of all off and all on."""
    first, last = ({factor.name: list(factor.levels)[at] for factor in study.factors} for at in (0, -1))
    return label_of(first), label_of(last)


def _own_contrasts(study: Study) -> list[Contrast]:
    """The comparisons of `leave_one_out`, and those of `add_one` where it is there, each pair once."""
    off, on = _ends(study)
    wanted: list[Contrast] = []
    if "add_one" in study.designs:
        wanted += [(label_of(levels), off) for levels in switched(study, "add_one", start=0)]
        wanted.append((on, off))
    wanted += [(label_of(levels), on) for levels in switched(study, "leave_one_out", start=1)]
    found: dict[frozenset[str], Contrast] = {}
    for pair in wanted:
        if pair[0] != pair[1]:
            found.setdefault(frozenset(pair), pair)
    return list(found.values())
