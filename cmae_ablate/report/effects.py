"""Every comparison of a study in one place: tables, figures, page and CSV all read these, so they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.frame import Cell, StudyDescription
from cmae_ablate.report.power import pairs_to_tell, told_by
from cmae_ablate.report.stats import (
    Equivalence,
    Paired,
    Values,
    bootstrap_interval,
    equivalence,
    holm,
    paired,
)
from cmae_ablate.report.two_way import TwoWay, two_way
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
        p_holm: Holm-adjusted p; NaN outside the family.
        power_size: The difference that `power_n` is for: the margin or one point, or the one seen if larger.
        power_n: Paired seeds that would tell it with 80 % power.
        told: The smallest difference that the present pairs tell with 80 % power.
    """

    variant: str
    against: str
    family: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    paired: Paired
    planned: Paired | None = None
    bootstrap: tuple[float, float] = (math.nan, math.nan)
    equivalence: Equivalence | None = None
    two_way: TwoWay | None = None
    power_size: float = math.nan
    power_n: float = math.nan
    told: float = math.nan
    p_holm: float = math.nan
    equivalence_p_holm: float = math.nan


@dataclass(frozen=True)
class Comparison:
    """A metric's effects.

    Attributes:
        effects: One per variant against the reference, in table order, the reference's own row included.
        others: Declared contrasts against something other than the reference.
        values: One row a seed, one column a variant.
    """

    metric: Metric
    description: StudyDescription
    effects: tuple[Effect, ...]
    others: tuple[Effect, ...]
    values: pd.DataFrame

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


def compare(
    cells: Cells, metric: str, correct: Predictions | None = None, *, thorough: bool = True
) -> Comparison:
    """Compare every variant with the reference, and every declared contrast, on one metric.

    Args:
        cells: The study's cells.
        metric: A numeric column of theirs.
        correct: Per-image predictions that the metric counts, where they were kept.
        thorough: Also bootstrap, equivalence and power: for the metric that decides.
    """
    study, values = cells.description, cells.by_seed(metric)
    family = [pair for pair in study.family if set(pair) <= set(study.variants)]
    pairs = [(variant, study.reference) for variant in study.variants]
    others = [pair for pair in dict.fromkeys(family) if pair[1] != study.reference]
    effects = []
    for pair in [*pairs, *others]:
        both = values[list(dict.fromkeys(pair))].dropna()
        if pair[0] == pair[1]:
            effects.append(_own_row(pair[0], both))
            continue
        effect = _paired_effect(pair, DECLARED if pair in family else EXPLORATORY, both, study.seeds)
        effects.append(_deepened(effect, both, study, metric, correct or {}) if thorough else effect)
    effects = _adjusted(effects)
    own, other = effects[: len(pairs)], effects[len(pairs) :]
    return Comparison(Metric.named(metric), study, tuple(own), tuple(other), values)


def _own_row(reference: str, values: pd.DataFrame) -> Effect:
    """The reference's level; against itself there is nothing to test."""
    level = values[reference].to_numpy(dtype=np.float64)
    nan = math.nan
    result = replace(paired(level, level), delta=0.0, ci_low=nan, ci_high=nan, p=nan, dz=nan, noise=nan)
    return Effect(reference, reference, REFERENCE, _seeds(values), (), result)


def _paired_effect(pair: tuple[str, str], family: str, both: pd.DataFrame, planned_seeds: int) -> Effect:
    ours, theirs = _arrays(pair, both)
    planned = both.index < planned_seeds
    return Effect(
        variant=pair[0],
        against=pair[1],
        family=family,
        seeds=_seeds(both),
        differences=tuple(float(d) for d in ours - theirs),
        paired=paired(ours, theirs),
        planned=None if planned.all() else paired(ours[planned], theirs[planned]),
    )


def _deepened(
    effect: Effect, both: pd.DataFrame, study: StudyDescription, metric: str, correct: Predictions
) -> Effect:
    """The same effect with everything that only the deciding metric needs."""
    pair, result, margin = (effect.variant, effect.against), effect.paired, study.equivalence_margin
    ours, theirs = _arrays(pair, both)
    size = _size(result, margin, Metric.named(metric).worth_telling)
    predictions = [(correct.get((pair[0], s)), correct.get((pair[1], s))) for s in effect.seeds]
    return replace(
        effect,
        bootstrap=bootstrap_interval(ours - theirs),
        equivalence=None if margin is None else equivalence(ours, theirs, margin),
        two_way=_two_way(predictions, result.delta),
        power_size=size,
        power_n=math.nan if result.noiseless else pairs_to_tell(size, result.noise),
        told=math.nan if result.noiseless else told_by(result.n, result.noise),
    )


def _arrays(pair: tuple[str, str], both: pd.DataFrame) -> tuple[Values, Values]:
    ours, theirs = (both[label].to_numpy(dtype=np.float64) for label in pair)
    return ours, theirs


def _size(result: Paired, margin: float | None, worth_telling: float) -> float:
    """Nobody plans seeds for less than the margin or one point; a larger difference is planned for itself."""
    sizes = [
        s for s in (margin if margin is not None else worth_telling, abs(result.delta)) if not math.isnan(s)
    ]
    return max(sizes, default=math.nan)


def _two_way(
    predictions: Sequence[tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.bool_] | None]], delta: float
) -> TwoWay | None:
    """The interval over seeds and images, where the predictions kept are those behind the table's numbers."""
    ours = [a for a, _ in predictions if a is not None]
    theirs = [b for _, b in predictions if b is not None]
    if not predictions or len(ours) < len(predictions) or len(theirs) < len(predictions):
        return None
    if len({len(a) for a in (*ours, *theirs)}) > 1:
        return None
    result = two_way(ours, theirs)
    return result if math.isclose(result.delta, delta, abs_tol=1e-3) else None


def _seeds(both: pd.DataFrame) -> tuple[int, ...]:
    return tuple(int(s) for s in both.index)


def _adjusted(effects: list[Effect]) -> list[Effect]:
    """The same effects with Holm's correction over the declared ones."""
    declared = [index for index, effect in enumerate(effects) if effect.family == DECLARED]
    p_values = holm([effects[i].paired.p for i in declared])
    equal = holm([e.p if (e := effects[i].equivalence) else math.nan for i in declared])
    adjusted = list(effects)
    for index, p, p_equal in zip(declared, p_values, equal, strict=True):
        adjusted[index] = replace(effects[index], p_holm=p, equivalence_p_holm=p_equal)
    return adjusted
