"""Every comparison of a study in one place: tables, figures, page and CSV all read these, so they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.effect import DECLARED, EXPLORATORY, HOLM, REFERENCE, Effect
from cmae_ablate.report.family import declared_prior, judged
from cmae_ablate.report.frame import Cell, Pair, StudyDescription
from cmae_ablate.report.power import (
    Planning,
    minimum_detectable_effect,
    required_pairs,
    required_pairs_interval,
)
from cmae_ablate.report.resolution import one_image, same_weights
from cmae_ablate.report.seed_rule import SeedRule
from cmae_ablate.report.sequential import repeated, repeated_equivalence
from cmae_ablate.report.settling import Standing, settle
from cmae_ablate.report.shared_error import contrast_differences
from cmae_ablate.report.stats import Values, bootstrap_interval, equivalence, paired
from cmae_ablate.report.two_way import TwoWay, two_way
from cmae_ablate.report.variance import PAIRED
from cmae_ablate.report.wording import Metric

__all__ = ["DECLARED", "EXPLORATORY", "REFERENCE", "Comparison", "Effect", "Predictions", "compare"]


@dataclass(frozen=True)
class Comparison:
    """A metric's effects.

    Attributes:
        effects: One per variant against the reference, in table order, the reference's own row included.
        others: Contrasts against something other than the reference: declared, or added since the plan.
        values: One row a seed, one column a variant.
        variance: The variance that was tested by: what the study declares, or `paired` where its cells do not
            allow that (see `variance.py`).
        sensitive: Whether the study tells its positive control from its reference; None: unknown.
    """

    metric: Metric
    description: StudyDescription
    effects: tuple[Effect, ...]
    others: tuple[Effect, ...]
    values: pd.DataFrame
    variance: str = PAIRED
    sensitive: bool | None = None

    @property
    def reference(self) -> Effect:
        """The reference's own row."""
        return next(e for e in self.effects if e.family == REFERENCE)

    @property
    def contrasts(self) -> tuple[Effect, ...]:
        """Every comparison, the exploratory ones too; without the reference's own row."""
        return (*(e for e in self.effects if e.family != REFERENCE), *self.others)

    @property
    def correction(self) -> str:
        """Whose correction the family's p have: `Holm` or `Dunnett`."""
        return next((effect.correction for effect in self.declared), HOLM)

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
    standings = _standings(cells)
    family = [pair for pair in study.family if set(pair) <= set(study.variants)]
    pairs = [(variant, study.reference) for variant in study.variants]
    added = [pair for pair in study.added_contrasts if set(pair) <= set(study.variants)]
    others = [pair for pair in dict.fromkeys([*family, *added]) if pair[1] != study.reference]
    named, kept = Metric.named(metric), correct or {}
    span = span_of(named, values)
    step = one_image(values, len(next(iter(kept.values()))) if kept else None)
    effects = []
    for pair in [*pairs, *others]:
        both = _Both.of(*pair, values)
        if pair[0] == pair[1]:
            effects.append(_own_row(both))
            continue
        both = both.as_looked_at(study.rule, standings.get(pair))
        effect = _paired_effect(both, DECLARED if pair in family else EXPLORATORY, study, span)
        same = same_weights(cells.rows, *pair, effect.seeds) and study.is_judged_alike(pair, metric)
        grain = step if named.is_accuracy else math.nan
        effect = replace(effect, identical=same, one_image=grain, standing=standings.get(pair))
        effects.append(_deepened(effect, both, study, kept, clusters) if thorough else effect)
    prior = declared_prior(study.variance, effects, values)
    # Planned pairs of variants that the study no longer has stay in the family: taking out the hopeless ones
    # after looking must not make the others look better.
    gone = [pair for pair in study.planned_family or () if pair not in family]
    ghosts = [Effect(*pair, DECLARED, (), (), paired(np.empty(0), np.empty(0))) for pair in gone]
    differences = contrast_differences(study.family, values) if study.rule else None
    effects = judged([*effects, *ghosts], prior, span, study.rule, differences)[: len(effects)]
    if thorough and study.rule is None:
        interest = study.equivalence_margin if study.equivalence_margin is not None else named.worth_telling
        effects = [e if e.family == REFERENCE else _planned(e, interest) for e in effects]
    own, other = effects[: len(pairs)], effects[len(pairs) :]
    return Comparison(named, study, tuple(own), tuple(other), values, prior.kind if prior else PAIRED)


@dataclass(frozen=True)
class _Both:
    """The metric of two variants under the seeds that both have, (n,) each."""

    variant: str
    against: str
    seeds: npt.NDArray[np.int64]
    ours: Values
    theirs: Values

    @classmethod
    def of(cls, variant: str, against: str, values: pd.DataFrame) -> _Both:
        ours, theirs = (values[label].to_numpy(dtype=np.float64) for label in (variant, against))
        both = ~(np.isnan(ours) | np.isnan(theirs))
        return cls(variant, against, values.index.to_numpy(dtype=np.int64)[both], ours[both], theirs[both])

    def as_looked_at(self, rule: SeedRule | None, standing: Standing | None) -> _Both:
        """The pairs of the last look: those that judged a declared contrast, or as many as fill a look.

        Before its first look too few of them for an interval; all pairs where no rule adds seeds.
        """
        if rule is None:
            return self
        if standing is not None and standing.seeds:
            kept = np.isin(self.seeds, standing.seeds)
        else:
            count = rule.looks.last(len(self.seeds)) if standing is None else 0
            kept = np.arange(len(self.seeds)) < (count or rule.looks.first - 1)
        return replace(self, seeds=self.seeds[kept], ours=self.ours[kept], theirs=self.theirs[kept])

    @property
    def known_seeds(self) -> tuple[int, ...]:
        return tuple(self.seeds.tolist())


def _standings(cells: Cells) -> dict[Pair, Standing]:
    """Where each contrast stands by the study's rule, from the cells in the table; empty without a rule."""
    if cells.description.rule is None:
        return {}
    study, values = cells.description, cells.by_seed(cells.description.metric)
    seeds = values.index.to_numpy(dtype=np.int64).tolist()
    known = {
        (variant, seed): float(value)
        for variant in study.variants
        for seed, value in zip(seeds, values[variant].tolist(), strict=True)
        if not math.isnan(value)
    }
    failed = cells.rows.loc[cells.rows["state"] == "FAILED", ["variant", "seed"]]
    over = {(str(variant), int(seed)) for variant, seed in failed.itertuples(index=False)}
    found = settle(cells.description.rule, study.variants, study.family, known, over)
    return {each.pair: each for each in found.contrasts}


def span_of(metric: Metric, values: pd.DataFrame) -> float:
    """The metric's highest possible value minus its lowest; inf where the numbers themselves are outside."""
    low, high = metric.possible
    numbers = values.to_numpy(dtype=np.float64)
    outside = (numbers < low) | (numbers > high)
    return math.inf if outside.any() else metric.span


def _own_row(own: _Both) -> Effect:
    """The reference's level; against itself there is nothing to test."""
    nan = math.nan
    level = paired(own.ours, own.theirs)
    result = replace(level, delta=0.0, ci_low=nan, ci_high=nan, p=nan, dz=nan, noise=nan)
    return Effect(own.variant, own.against, REFERENCE, own.known_seeds, (), result)


def _paired_effect(both: _Both, family: str, study: StudyDescription, span: float) -> Effect:
    ours, theirs = both.ours, both.theirs
    planned = both.seeds < study.seeds
    if study.rule is None:
        found = paired(ours, theirs, span)
    else:
        found = repeated(ours, theirs, study.rule.looks, span)
    return Effect(
        variant=both.variant,
        against=both.against,
        family=family,
        seeds=both.known_seeds,
        differences=tuple(float(d) for d in ours - theirs),
        paired=found,
        planned=None if planned.all() else paired(ours[planned], theirs[planned], span),
    )


def _deepened(
    effect: Effect,
    both: _Both,
    study: StudyDescription,
    correct: Predictions,
    clusters: Clusters | None,
) -> Effect:
    """The same effect with the intervals and tests that only the deciding metric needs."""
    margin = study.equivalence_margin
    if study.rule is not None:
        # Neither the bootstrap nor the interval over images allows for several looks.
        equal = None
        if margin is not None:
            equal = repeated_equivalence(both.ours, both.theirs, margin, study.rule.looks)
        return replace(effect, equivalence=equal)
    predictions = [(correct.get((both.variant, s)), correct.get((both.against, s))) for s in effect.seeds]
    return replace(
        effect,
        bootstrap=bootstrap_interval(both.ours - both.theirs),
        equivalence=None if margin is None else equivalence(both.ours, both.theirs, margin),
        two_way=_two_way(predictions, clusters, effect.paired.delta),
    )


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
