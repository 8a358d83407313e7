"""Each seed with images of its own: intervals over seeds then cover new draws of the data.

Bouthillier et al. (2021, 'Accounting for Variance in Machine Learning Benchmarks', arXiv 2103.03098) found
the draw of the data to be the largest source of variance of a benchmark, which seeds on one draw do not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cmae_ablate.study.design import Variant
from cmae_ablate.study.loading import Study
from cmae_ablate.study.trial_spec import TrialSpec


def drawn_anew(study: Study, found: Sequence[Variant]) -> dict[tuple[str, int], TrialSpec]:
    """Every variant's trial as each seed trains it; empty where all seeds have the same images.

    All variants of a seed see the same draw, so that they stay paired.
    """
    if not study.redraws:
        return {}
    seeds = range(study.first_seed, study.first_seed + study.seeds)
    return {(each.label, seed): _drawn(each.spec, seed) for each in found for seed in seeds}


def _drawn(spec: TrialSpec, seed: int) -> TrialSpec:
    return replace(spec, components={**spec.components, "dataset": spec["dataset"].drawn_for(seed)})
