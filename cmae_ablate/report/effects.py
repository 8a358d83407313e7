"""Every comparison of a study in one place: tables, figures, page and CSV all read these, so they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.family import Tested, adjusted_p, simultaneous
from cmae_ablate.report.frame import Cell, StudyDescription
from cmae_ablate.report.power import (
    Planning,
    minimum_detectable_effect,
    required_pairs,
    required_pairs_interval,
)
from cmae_ablate.report.resolution import one_image, same_weights
from cmae_ablate.report.stats import (
    ALPHA,
    UNBOUNDED,
    Bounds,
    Equivalence,
    Paired,
    Values,
    bootstrap_interval,
    equivalence,
    holm,
    paired,
    within,
)
from cmae_ablate.report.two_way import TwoWay, two_way
from cmae_ablate.report.variance import (
    MODERATED,
    PAIRED,
    POOLED,
    Modelled,
    Prior,
    modelled,
    moderated_prior,
    pooled_prior,
)
from cmae_ablate.report.wording import Metric

REFERENCE, DECLARED, EXPLORATORY = "reference", "declared", "exploratory"


@dataclass(frozen=True)
class Effect:
    """One variant against another, paired by seed.

    Attributes:
        family: `reference` (its own row, no comparison), `declared` (in Holm's family) or `exploratory`.
        seeds: The paired seeds.
        differences: One difference a paired seed.
        paired: The statistics over these pairs; for the reference's own row over all its complete cells.
        planned: The same over planned seeds alone, where seeds were added later.
        modelled: The test by the variance that the study declares, where that is not the paired one.
        p_holm: Adjusted over the family, of the declared test: Holm's, or the stepwise Dunnett's where a pooled
            variance is declared and all contrasts share their `against`; NaN outside the family.
        among: How many comparisons `p_holm`, `simultaneous` and the planning reckon with: the family's size,
            1 outside it.
        simultaneous: The interval that holds together with those of the whole family, by the declared test.
        equivalence_p_holm: Holm-adjusted `equivalence.p`.
        effect_of_interest: The smallest difference worth detecting, which alone is planned for: the margin, or
            one point of an accuracy; NaN where the study states none.
        required_pairs: Paired seeds that detect it with 80 % power, the present ones included.
        required_pairs_interval: The same at both ends of the noise's own 95 % interval.
        minimum_detectable_effect: The smallest true difference that the present pairs detect with 80 % power.
        identical: Both encoders have equal weights under every paired seed; never by equal numbers alone.
        one_image: What one test image is worth, in the metric's unit; NaN where unknown.
    """

    variant: str
    against: str
    family: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    paired: Paired
    planned: Paired | None = None
    bootstrap: Bounds = (math.nan, math.nan)
    equivalence: Equivalence | None = None
    two_way: TwoWay | None = None
    modelled: Modelled | None = None
    p_holm: float = math.nan
    among: int = 1
    simultaneous: Bounds = (math.nan, math.nan)
    equivalence_p_holm: float = math.nan
    effect_of_interest: float = math.nan
    required_pairs: float = math.nan
    required_pairs_interval: Bounds = (math.nan, math.nan)
    minimum_detectable_effect: float = math.nan
    identical: bool = False
    one_image: float = math.nan

    @property
    def p_declared(self) -> float:
        """Unadjusted p of the test that the study declares."""
        return self.paired.p if self.modelled is None else self.modelled.p

    @property
    def stepwise_only(self) -> bool:
        """Detected by the stepwise adjustment, though the simultaneous interval reaches 0."""
        return self.p_holm < ALPHA and self.simultaneous[0] <= 0 <= self.simultaneous[1]


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
    added = [pair for pair in study.added_contrasts if set(pair) <= set(study.variants)]
    others = [pair for pair in dict.fromkeys([*family, *added]) if pair[1] != study.reference]
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
    prior = _prior(study.variance, effects, values)
    effects = _judged(effects, prior, possible)
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


def _prior(variance: str, effects: Sequence[Effect], values: pd.DataFrame) -> Prior | None:
    """The declared variance, where it is not each comparison's own and can be estimated."""
    if variance == POOLED:
        return pooled_prior(values)
    if variance == MODERATED:
        return moderated_prior([e.paired for e in effects if e.family == DECLARED])
    return None


def _judged(effects: Sequence[Effect], prior: Prior | None, possible: Bounds) -> list[Effect]:
    """The same effects with the declared test, adjusted over the family of declared comparisons."""
    tested = [
        replace(e, modelled=modelled(e.paired, prior, possible)) if prior and e.family != REFERENCE else e
        for e in effects
    ]
    declared = [index for index, effect in enumerate(tested) if effect.family == DECLARED]
    family = [_test(tested[i]) for i in declared]
    p_values = adjusted_p(family, dunnett=(dunnett := _many_to_one(tested, declared, prior)))
    equal = holm([e.p if (e := tested[i].equivalence) else math.nan for i in declared])
    intervals = simultaneous(family, dunnett=dunnett)
    for index, p, p_equal, interval in zip(declared, p_values, equal, intervals, strict=True):
        own = tested[index].paired
        tested[index] = replace(
            tested[index],
            p_holm=p,
            among=len(declared),
            simultaneous=within(interval, own.delta, own.mean - own.delta, possible),
            equivalence_p_holm=p_equal,
        )
    return tested


def _test(effect: Effect) -> Tested:
    own, declared = effect.paired, effect.modelled
    if own.n < 2:
        return Tested(own.delta, math.nan, math.nan, math.nan)
    noise, df = (own.noise, own.n - 1) if declared is None else (declared.noise, declared.df)
    return Tested(own.delta, noise / math.sqrt(own.n), df, effect.p_declared)


def _many_to_one(effects: Sequence[Effect], declared: Sequence[int], prior: Prior | None) -> bool:
    """Whether Dunnett's test fits: one variance, one `against`, and as many seeds everywhere."""
    family = [effects[i] for i in declared]
    alike = len({e.against for e in family}) == 1 and len({e.paired.n for e in family}) == 1
    return prior is not None and prior.kind == POOLED and alike


def _planned(effect: Effect, interest: float) -> Effect:
    """The same effect with how many seeds it needs, at the level that the family needs."""
    own, declared = effect.paired, effect.modelled
    planning = (
        Planning(own.noise, own.n, effect.among)
        if declared is None
        else Planning(declared.noise, own.n, effect.among, declared.df_per_pair, declared.prior_df)
    )
    if own.noiseless:
        return replace(effect, effect_of_interest=interest)
    return replace(
        effect,
        effect_of_interest=interest,
        required_pairs=required_pairs(interest, planning),
        required_pairs_interval=required_pairs_interval(interest, planning),
        minimum_detectable_effect=minimum_detectable_effect(planning),
    )
