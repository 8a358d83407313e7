"""Which variants a study's answer compares: the pairs it declares, or its design's own."""

from __future__ import annotations

from itertools import pairwise

from cmae_ablate.study.design import combinations, label_of, path_labels, reference_label, switched
from cmae_ablate.study.loading import Study

Contrast = tuple[str, str]
"""A variant's label, and that of the one it is compared with."""


def contrasts(study: Study) -> tuple[Contrast, ...]:
    """The (variant, against) pairs that the study's answer rests on: those declared, or its design's own.

    By default `leave_one_out` compares each variant with *all on*. Together with `add_one`, the variants of
    that are compared with *all off*, and so is all on. `path` compares each variant with the one before it.
    What other designs add is compared with the reference.

    Returns:
        Empty where every variant is compared with the reference, and for a `grid`, whose main effects and
        interactions answer it.
    """
    if study.contrasts:
        return study.contrasts
    if not {"leave_one_out", "path"} & set(study.designs) or "grid" in study.designs:
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
    told = []
    if {"add_one", "leave_one_out"} <= set(study.designs):
        told.append(f"each variant of add_one, and all on, with all off ('{off}')")
    if "leave_one_out" in study.designs:
        told.append(f"each variant of leave_one_out with all on ('{on}')")
    if "path" in study.designs:
        told.append("each variant of the path with the one before it")
    return (f"No contrasts are declared, so the design's own are compared: {'; '.join(told)}.",)


def _ends(study: Study) -> tuple[str, str]:
    """The labels of all off and all on."""
    first, last = ({factor.name: list(factor.levels)[at] for factor in study.factors} for at in (0, -1))
    return label_of(first), label_of(last)


def _own_contrasts(study: Study) -> list[Contrast]:
    """The comparisons of `leave_one_out` (with those of `add_one`) and of `path`, each pair once."""
    off, on = _ends(study)
    wanted: list[Contrast] = []
    if {"add_one", "leave_one_out"} <= set(study.designs):
        wanted += [(label_of(levels), off) for levels in switched(study, "add_one", start=0)]
        wanted.append((on, off))
    if "leave_one_out" in study.designs:
        wanted += [(label_of(levels), on) for levels in switched(study, "leave_one_out", start=1)]
    if "path" in study.designs:
        wanted += [(after, before) for before, after in pairwise(path_labels(study))]
    found: dict[frozenset[str], Contrast] = {}
    for pair in wanted:
        if pair[0] != pair[1]:
            found.setdefault(frozenset(pair), pair)
    return list(found.values())
