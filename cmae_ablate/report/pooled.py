"""Every contrast of a study over its data sets: side by side, pooled, and what a new data set would show.

A data set that does not tell its positive control from its reference is left out of the pool, and named: its
own differences say nothing, and they would pull the mean towards none. What was chosen by looking at the
reference could bias the rest, which shares it; in simulation (`analysis/simulation/pooling_rules.csv`, rule
`sensitive only`) the intervals hold as often as they say. `pooled.csv` has the numbers with all data sets,
too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from cmae_ablate.report.anova import TIMES
from cmae_ablate.report.effects import DECLARED, EXPLORATORY
from cmae_ablate.report.factorial import Term
from cmae_ablate.report.random_effects import FEWEST, Measured, RandomEffects, pool
from cmae_ablate.report.stats import ALPHA, Paired, holm, t_below
from cmae_ablate.report.study_part import Analysed
from cmae_ablate.report.verdict import Verdict
from cmae_ablate.report.wording import Metric

Key = tuple[str, str]


@dataclass(frozen=True)
class OnDataSet:
    """A contrast on one data set; `identical`: equal weights in every seed; `term`: where it is a grid's."""

    dataset: str
    paired: Paired
    identical: bool = False
    term: Term | None = field(default=None, repr=False)


@dataclass(frozen=True)
class OverDataSets:
    """One contrast over a study's data sets.

    Attributes:
        variant: A variant, or a term of a grid.
        against: A variant, or the level that a grid's effect is measured from.
        family: `declared`, in Holm's family, or `exploratory`.
        each: One a data set, in the study's order.
        found: Over the data sets that have a paired seed and are not insensitive.
        over_all: The same with the insensitive ones.
        p_holm: Of the pooled difference, adjusted over the declared contrasts; NaN outside of them.
        p_equal: Of two one-sided tests of the pooled difference against the margin, adjusted likewise.
        verdict: The conclusion about the mean over data sets of this kind.
        term: What it is of a grid; None where two variants are compared.
    """

    variant: str
    against: str
    family: str
    each: tuple[OnDataSet, ...]
    found: RandomEffects
    over_all: RandomEffects
    p_holm: float = math.nan
    p_equal: float = math.nan
    verdict: Verdict = Verdict.INCONCLUSIVE
    term: Term | None = field(default=None, repr=False)

    @property
    def without_pair(self) -> tuple[str, ...]:
        """The data sets on which there is none."""
        return tuple(on.dataset for on in self.each if not on.paired.n)


@dataclass(frozen=True)
class PooledStudy:
    """A study on several data sets, analysed.

    Attributes:
        name: Of the study.
        parts: The study on each data set, titled by the data set's label.
        contrasts: Declared ones first.
    """

    name: str
    parts: tuple[Analysed, ...]
    contrasts: tuple[OverDataSets, ...]

    @property
    def metric(self) -> Metric:
        """What decides."""
        return self.parts[0].comparison.metric

    @property
    def datasets(self) -> tuple[str, ...]:
        """Their labels."""
        return tuple(part.title for part in self.parts)

    @property
    def pool(self) -> tuple[str, ...]:
        """The data sets that are pooled, if they are enough."""
        return tuple(label for label in self.datasets if label not in self.insensitive)

    @property
    def is_pooled(self) -> bool:
        """Whether there are enough data sets for a claim about their kind."""
        return len(self.pool) >= FEWEST

    @property
    def declared(self) -> tuple[OverDataSets, ...]:
        """The contrasts in Holm's family."""
        return tuple(each for each in self.contrasts if each.family == DECLARED)

    @property
    def not_single(self) -> tuple[str, ...]:
        """A grid's terms that compare several levels at once, and so have no difference to pool."""
        terms = [term for part in self.parts for term in part.terms if not term.levels]
        return tuple(dict.fromkeys(term.name for term in terms))

    @property
    def insensitive(self) -> tuple[str, ...]:
        """The data sets that do not tell the positive control from the reference."""
        return tuple(part.title for part in self.parts if part.comparison.sensitive is False)

    @property
    def sensitive(self) -> bool | None:
        """Whether what is pooled tells its positive controls; False where insensitivity leaves too few."""
        if self.insensitive and not self.is_pooled:
            return False
        known = [part.comparison.sensitive for part in self.parts if part.title in self.pool]
        return None if None in known else True


def pooled_study(name: str, parts: Sequence[Analysed]) -> PooledStudy:
    """Pool every contrast of a study over its data sets.

    Args:
        name: Of the study.
        parts: The study on each of two or more data sets, titled by the data set's label.
    """
    study = PooledStudy(name, tuple(parts), ())
    own = [_of_part(part) for part in parts]
    families: dict[Key, str] = {}
    for of in own:
        for key, (family, _) in of.items():
            families.setdefault(key, family)
    found = []
    for key in sorted(families, key=lambda key: families[key] != DECLARED):
        each = tuple(
            of.get(key, ("", OnDataSet(part.title, _NOTHING)))[1] for part, of in zip(parts, own, strict=True)
        )
        measured = {
            on.dataset: Measured(on.paired.delta, on.paired.noise, on.paired.n) for on in each if on.paired.n
        }
        seen = [one for label, one in measured.items() if label in study.pool]
        over_all = pool(list(measured.values()))
        term = next((on.term for on in each if on.term is not None), None)
        found.append(OverDataSets(*key, families[key], each, pool(seen), over_all, term=term))
    study = replace(study, contrasts=tuple(found))
    margin = parts[0].comparison.description.equivalence_margin
    return replace(study, contrasts=tuple(_judged(study, margin)))


def pooled_table(study: PooledStudy) -> pd.DataFrame:
    """`pooled.csv`: one row a contrast, unrounded; the pooled numbers, then those of each data set."""
    rows = []
    for each in study.contrasts:
        found = each.found
        row: dict[str, object] = {
            "variant": each.variant,
            "against": each.against,
            "family": each.family,
            "metric": study.metric.name,
            "datasets": found.k,
            "delta": found.mean,
            "ci_low": found.interval[0],
            "ci_high": found.interval[1],
            "p": found.p,
            "p_holm": each.p_holm,
            "prediction_low": found.prediction[0],
            "prediction_high": found.prediction[1],
            "tau": found.tau,
            "i_squared": found.i_squared,
            "F": found.f,
            "p_heterogeneity": found.p_heterogeneity,
            "p_equal": each.p_equal,
            "verdict": str(each.verdict),
            "all_datasets": each.over_all.k,
            "all_delta": each.over_all.mean,
            "all_ci_low": each.over_all.interval[0],
            "all_ci_high": each.over_all.interval[1],
        }
        for on in each.each:
            result = on.paired
            own = {"n": result.n, "delta": result.delta, "ci_low": result.ci_low, "ci_high": result.ci_high}
            row |= {f"{on.dataset}.{column}": value for column, value in own.items()}
        rows.append(row)
    return pd.DataFrame(rows)


_NOTHING = Paired(0, *[math.nan] * 8)


def _of_part(part: Analysed) -> dict[Key, tuple[str, OnDataSet]]:
    """Family and numbers of each contrast on one data set; of a grid, its two-level terms."""
    found = {
        (term.name, TIMES.join(term.base)): (DECLARED, OnDataSet(part.title, term.paired, term=term))
        for term in part.terms
        if term.levels
    }
    for effect in part.comparison.contrasts:
        family = EXPLORATORY if found and part.terms else effect.family
        on = OnDataSet(part.title, effect.paired, effect.identical)
        found.setdefault((effect.variant, effect.against), (family, on))
    return found


def _judged(study: PooledStudy, margin: float | None) -> list[OverDataSets]:
    declared = study.declared
    by_p = holm([each.found.p for each in declared]) if declared else []
    by_equal = holm([_p_equal(each.found, margin) for each in declared]) if declared else []
    adjusted = {
        (each.variant, each.against): (p, equal)
        for each, p, equal in zip(declared, by_p, by_equal, strict=True)
    }
    nothing = (math.nan, math.nan)
    found = []
    for each in study.contrasts:
        p, equal = adjusted.get((each.variant, each.against), nothing)
        known = replace(each, p_holm=p, p_equal=equal)
        found.append(replace(known, verdict=_verdict(known, study.sensitive, study.pool)))
    return found


def _p_equal(found: RandomEffects, margin: float | None) -> float:
    """Two one-sided t tests (Schuirmann 1987) of the pooled difference; NaN without a margin or noise."""
    if margin is None or found.k < FEWEST or not found.error > 0:
        return math.nan
    df = found.k - 1
    return max(
        t_below((found.mean - margin) / found.error, df), t_below((-found.mean - margin) / found.error, df)
    )


def _verdict(each: OverDataSets, sensitive: bool | None, pooled: Sequence[str]) -> Verdict:
    if set(each.without_pair) & set(pooled):
        return Verdict.INCOMPLETE
    if all(on.identical for on in each.each):
        return Verdict.IDENTICAL
    if each.found.k < FEWEST:
        return Verdict.INSENSITIVE if sensitive is False else Verdict.INCONCLUSIVE
    if each.p_holm < ALPHA:
        return Verdict.HIGHER if each.found.mean > 0 else Verdict.LOWER
    return Verdict.EQUAL if each.p_equal < ALPHA else Verdict.INCONCLUSIVE
