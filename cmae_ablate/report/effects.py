"""Every comparison of a study in one place: tables, figures, page and CSV all read these, so they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.effect import DECLARED, EXPLORATORY, REFERENCE, Effect
from cmae_ablate.report.family import declared_prior, judged
from cmae_ablate.report.frame import Cell, StudyDescription
from cmae_ablate.report.power import (
    Planning,
    minimum_detectable_effect,
    required_pairs,
    required_pairs_interval,
)
from cmae_ablate.report.resolution import one_image, same_weights
from cmae_ablate.report.stats import UNBOUNDED, Bounds, Values, bootstrap_interval, equivalence, paired
from cmae_ablate.report.two_way import TwoWay, two_way
from cmae_ablate.report.variance import PAIRED
from cmae_ablate.report.wording import Metric

__all__ = ["DECLARED", "EXPLORATORY", "REFERENCE", "Comparison", "Effect", "Predictions", "compare"]


@dataclass(frozen=True)
class Comparison:
    """A metric's effects.

    Attributes:
        effects: One per variant against the reference, in table order, the reference's own row included.
        others: Declared contrasts against something other than the reference.
        values: One row a seed, one column a variant.
        variance: The variance that was tested by: what the study declares, or `paired` where its cells do not
            allow that (see `variance.py`).
    """

    metric: Metric
    description: StudyDescription
    effects: tuple[Effect, ...]
    others: tuple[Effect, ...]
    values: pd.DataFrame
    variance: str = PAIRED

    @property
    def reference(self) -> Effect:
        """The reference's own row."""
        return next(e for e in self.effects if e.family == REFERENCE)

    @property
    def contrasts(self) -> tuple[Effect, ...]:
        """Every comparison, the exploratory ones too; without the reference's own row."""
        return (*(e for e in self.effects if e.family != REFERENCE), *self.others)

    @property
    def declared(self) -> tuple[Effect, ...]:
        """The Holm family."""
        return tuple(e for e in self.contrasts if e.family == DECLARED)


Predictions = Mapping[Cell, npt.NDArray[np.bool_]]
Clusters = npt.NDArray[np.int64]


def compare(
    cells: Cells,
    metric: str,
    correct: Predictions | None = None,
    *,
    clusters: Clusters | None = None,
    thorough: bool = True,
) -> Comparison:
    """Compare every variant with the reference, and every declared contrast, on one metric.

    Args:
        cells: The study's cells.
        metric: A numeric column of theirs.
        correct: Per-image predictions that the metric counts, where they were kept.
        clusters: What each of these images belongs to, where images of a kind are alike.
        thorough: Also bootstrap, equivalence and power: for the metric that decides.
    """
    study, values = cells.description, cells.by_seed(metric)
    family = [pair for pair in study.family if set(pair) <= set(study.variants)]
    pairs = [(variant, study.reference) for variant in study.variants]
    others = [pair for pair in dict.fromkeys(family) if pair[1] != study.reference]
    named, kept = Metric.named(metric), correct or {}
    possible = _possible(named, values)
    step = one_image(values, len(next(iter(kept.values()))) if kept else None)
    effects = []
    for pair in [*pairs, *others]:
        both = values[list(dict.fromkeys(pair))].dropna()
        if pair[0] == pair[1]:
            effects.append(_own_row(pair[0], both))
            continue
        effect = _paired_effect(
            pair, DECLARED if pair in family else EXPLORATORY, both, study.seeds, possible
        )
        same = same_weights(cells.rows, *pair, effect.seeds)
        effect = replace(effect, identical=same, one_image=step if named.is_accuracy else math.nan)
        effects.append(_deepened(effect, both, study, kept, clusters) if thorough else effect)
    prior = declared_prior(study.variance, effects, values)
    effects = judged(effects, prior, possible)
    if thorough:
        interest = study.equivalence_margin if study.equivalence_margin is not None else named.worth_telling
        effects = [e if e.family == REFERENCE else _planned(e, interest) for e in effects]
    own, other = effects[: len(pairs)], effects[len(pairs) :]
    return Comparison(named, study, tuple(own), tuple(other), values, prior.kind if prior else PAIRED)


def _possible(metric: Metric, values: pd.DataFrame) -> Bounds:
    """What the metric can reach; unlimited where the numbers themselves are outside it."""
    low, high = metric.possible
    inside = values.isna() | ((values >= low) & (values <= high))
    return (low, high) if inside.to_numpy().all() else UNBOUNDED


def _own_row(reference: str, values: pd.DataFrame) -> Effect:
    """The reference's level; against itself there is nothing to test."""
    level = values[reference].to_numpy(dtype=np.float64)
    nan = math.nan
    result = replace(paired(level, level), delta=0.0, ci_low=nan, ci_high=nan, p=nan, dz=nan, noise=nan)
    return Effect(reference, reference, REFERENCE, _seeds(values), (), result)


def _paired_effect(
    pair: tuple[str, str], family: str, both: pd.DataFrame, planned_seeds: int, possible: Bounds
) -> Effect:
    ours, theirs = _arrays(pair, both)
    planned = both.index < planned_seeds
    return Effect(
        variant=pair[0],
        against=pair[1],
        family=family,
        seeds=_seeds(both),
        differences=tuple(float(d) for d in ours - theirs),
        paired=paired(ours, theirs, possible),
        planned=None if planned.all() else paired(ours[planned], theirs[planned], possible),
    )


def _deepened(
    effect: Effect,
    both: pd.DataFrame,
    study: StudyDescription,
    correct: Predictions,
    clusters: Clusters | None,
) -> Effect:
    """The same effect with the intervals and tests that only the deciding metric needs."""
    pair, margin = (effect.variant, effect.against), study.equivalence_margin
    ours, theirs = _arrays(pair, both)
    predictions = [(correct.get((pair[0], s)), correct.get((pair[1], s))) for s in effect.seeds]
    return replace(
        effect,
        bootstrap=bootstrap_interval(ours - theirs),
        equivalence=None if margin is None else equivalence(ours, theirs, margin),
        two_way=_two_way(predictions, clusters, effect.paired.delta),
    )


def _arrays(pair: tuple[str, str], both: pd.DataFrame) -> tuple[Values, Values]:
    ours, theirs = (both[label].to_numpy(dtype=np.float64) for label in pair)
    return ours, theirs


def _two_way(
    predictions: Sequence[tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.bool_] | None]],
    clusters: Clusters | None,
    delta: float,
) -> TwoWay | None:
    """The interval over seeds and images, where the predictions kept are those behind the table's numbers."""
    ours = [a for a, _ in predictions if a is not None]
    theirs = [b for _, b in predictions if b is not None]
    if not predictions or len(ours) < len(predictions) or len(theirs) < len(predictions):
        return None
    if len({len(a) for a in (*ours, *theirs)}) > 1:
        return None
    known = clusters if clusters is not None and len(clusters) == len(ours[0]) else None
    result = two_way(ours, theirs, known)
    return result if math.isclose(result.delta, delta, abs_tol=1e-3) else None


def _seeds(both: pd.DataFrame) -> tuple[int, ...]:
    return tuple(int(s) for s in both.index)


def _planned(effect: Effect, interest: float) -> Effect:
    """The same effect with how many seeds it needs, at the level that the family needs."""
    own, declared = effect.paired, effect.modelled
    if own.noiseless:
        return replace(effect, effect_of_interest=interest)
    planning = (
        Planning(own.noise, own.n, effect.among)
        if declared is None
        else Planning(declared.noise, own.n, effect.among, declared.df_per_pair, declared.prior_df)
    )
    return replace(
        effect,
        effect_of_interest=interest,
        required_pairs=required_pairs(interest, planning),
        required_pairs_interval=required_pairs_interval(interest, planning),
        minimum_detectable_effect=minimum_detectable_effect(planning),
    )
