"""Main effects and interactions of a full grid: analysis of variance with the seed as block.

Seeds are what is drawn at random, so every effect is a contrast *within* a seed: a seed in which every
combination is complete gives one number a term, and any other seed is left out, aloud. The test and interval
of a term judge the mean of these numbers by how all contrasts vary from seed to seed (the residual), which
assumes that they vary alike; the columns `paired_*` judge it by its own seeds alone, without that assumption
and with far fewer degrees of freedom.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmae_ablate.report.anova import TIMES, anova_of
from cmae_ablate.report.cells import Cells
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.stats import Paired, holm, paired, t_below, t_interval, t_test
from cmae_ablate.report.wording import MINUS, is_or_are, seeds_words

MAIN, INTERACTION, LEVEL = "main effect", "interaction", "level"
NO_PAIRS = Paired(0, *[math.nan] * 8)

Levels = Mapping[str, str]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """One effect of a grid.

    Attributes:
        name: The factor, or two joined by a multiplication sign; with levels where there are several.
        factors: The factor, or the two that interact.
        kind: `main effect`, `interaction`, or `level`: a part of either where a factor has several levels.
        levels: The level of each factor that is compared; empty where several are, which only F can test.
        base: The levels they are compared with: of two levels the first ('off'), of several the reference's.
        estimate: Mean of the metric at `levels` minus that at `base`, over all else; for an interaction the
            difference of differences, not its half. NaN where several levels are compared.
        p: Of the term's F or t test.
        p_holm: Adjusted over all main effects and two-way interactions. For a level the larger of its whole
            term's and its own, adjusted over all levels.
        p_equal: Of two one-sided tests against the study's margin, adjusted by Holm over all terms with an
            estimate; NaN without a margin.
        n: Seeds with every combination complete.
        paired: The same contrast by its own seeds alone, with n - 1 degrees of freedom.
    """

    name: str
    factors: tuple[str, ...]
    kind: str
    levels: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    estimate: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    p_equal: float = math.nan
    n: int = 0
    paired: Paired = NO_PAIRS

    @property
    def contrast(self) -> str:
        """What is subtracted from what; nothing where several levels are compared at once."""
        if not self.levels:
            return ""
        difference = f"{self.levels[0]} {MINUS} {self.base[0]}"
        if len(self.levels) == 1:
            return difference
        return f"({difference} at {self.levels[1]}) {MINUS} ({difference} at {self.base[1]})"


@dataclass(frozen=True)
class Factorial:
    """A grid's analysis.

    Attributes:
        factors: The factors with at least two levels.
        cells: One row a cell of a seed with every combination complete: a column per factor (its level),
            `seed` and `value`; where there is no such seed, every complete cell.
        anova: One row a term: see `anova_of`; empty where there is no analysis.
        terms: Main effects and interactions, then levels; without numbers where there is no analysis.
        notes: Why some numbers are missing.
    """

    factors: tuple[str, ...]
    cells: pd.DataFrame
    anova: pd.DataFrame
    terms: tuple[Term, ...]
    notes: tuple[str, ...]

    @property
    def family(self) -> tuple[Term, ...]:
        """What Holm's correction covers where the study declares no contrasts."""
        return tuple(term for term in self.terms if term.kind != LEVEL)

    @property
    def table(self) -> pd.DataFrame:
        """`factorial.csv`: the analysis of variance with estimates, intervals and adjusted p; then levels."""
        by_name = {term.name: term for term in self.family}
        rows = [{**row, **_columns(by_name.get(row["term"]))} for row in self.anova.to_dict("records")]
        rows += [{"term": t.name, "df": 1.0, "p": t.p, **_columns(t)} for t in self.terms if t.kind == LEVEL]
        return pd.DataFrame(rows)


def _columns(term: Term | None) -> dict[str, object]:
    of = term or Term("", (), "")
    return {
        "p_holm": of.p_holm,
        "p_equal": of.p_equal,
        "estimate": of.estimate,
        "ci_low": of.ci_low,
        "ci_high": of.ci_high,
        "n": of.n if term else math.nan,
        "kind": of.kind,
        "contrast": of.contrast,
        "paired_low": of.paired.ci_low,
        "paired_high": of.paired.ci_high,
        "paired_p": of.paired.p,
    }


def analyse(cells: Cells) -> Factorial | None:
    """The analysis of a full grid's metric; None for any other design or without a complete cell."""
    study = cells.description
    if not study.is_grid or study.rule is not None:  # which seeds there are then depends on what they showed
        return None
    factors = study.crossed_factors
    every = cells.by_seed(study.metric)[list(study.variants)]
    complete = every.dropna()
    values = complete if len(complete) else every
    rows = [
        {**{f: study.levels[variant][f] for f in factors}, "seed": seed, "value": value}
        for variant in study.variants
        for seed, value in zip(values.index.tolist(), values[variant].tolist(), strict=True)
        if not math.isnan(value)
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    grid = _Grid(
        {factor: study.factors[factor] for factor in factors},
        tuple({f: study.levels[v][f] for f in factors} for v in study.variants),
        study.levels.get(study.reference, {}),
    )
    if len(complete):
        anova, notes = anova_of(frame, factors)
    else:
        anova, notes = pd.DataFrame(), ("no analysis of variance: no seed has every combination complete",)
    terms = _terms(grid, anova)
    terms = _estimated(terms, grid, complete.to_numpy(dtype=np.float64))
    if len(anova):
        terms = _adjusted(_with_intervals(terms, grid, anova, study.equivalence_margin))
    return Factorial(factors, frame, anova, tuple(terms), (*_left_out(every, complete), *notes))


def _left_out(every: pd.DataFrame, complete: pd.DataFrame) -> Iterator[str]:
    """Which seeds the analysis does without though they have some cells."""
    seeds = [int(seed) for seed in every.dropna(how="all").index.difference(complete.index)]
    if seeds and len(complete):
        yield (
            f"not every combination is complete under {seeds_words(seeds)}, "
            f"which {is_or_are(len(seeds))} left out of main effects and interactions"
        )


def tested_terms(factorial: Factorial | None, study: StudyDescription) -> Sequence[Term]:
    """The terms that a study's verdicts are of; none where it declares contrasts or is no full grid."""
    return factorial.terms if factorial is not None and study.tests_terms else ()


@dataclass(frozen=True)
class _Grid:
    """A grid's factors with their levels, its combinations in table order, and the reference's levels."""

    factors: Mapping[str, tuple[str, ...]]
    combinations: tuple[Levels, ...]
    reference: Levels

    def base(self, factor: str) -> str:
        """The level that others are compared with: `off` of two, the reference's of several."""
        levels = self.factors[factor]
        return levels[0] if len(levels) == 2 else self.reference.get(factor, levels[0])

    def weights(self, term: Term) -> Weights | None:
        """The term as a contrast of the combinations' values; None where it is not a single one."""
        if not term.levels:
            return None
        # Of one factor: at the level minus at the base; of two: that difference at both levels of the other.
        total = np.zeros(len(self.combinations))
        ends = [((low, -1), (high, 1)) for low, high in zip(term.base, term.levels, strict=True)]
        for corner in itertools.product(*ends):
            at = {factor: level for factor, (level, _) in zip(term.factors, corner, strict=True)}
            total += math.prod(sign for _, sign in corner) * self._mean(at)
        return total

    def _mean(self, at: Levels) -> Weights:
        """Weights of the combinations that make the mean over those `at` these levels, (combinations,)."""
        chosen = np.array([all(c[f] == level for f, level in at.items()) for c in self.combinations])
        weights: Weights = chosen / chosen.sum()
        return weights


def _terms(grid: _Grid, anova: pd.DataFrame) -> list[Term]:
    """Every term, with the p of its F test; then the parts of those that compare several levels."""
    p_values = dict(zip(anova["term"], anova["p"], strict=True)) if len(anova) else {}
    family, parts = [], []
    for names in [*((f,) for f in grid.factors), *itertools.combinations(grid.factors, 2)]:
        base = tuple(map(grid.base, names))
        others = [[level for level in grid.factors[f] if level != grid.base(f)] for f in names]
        choices = list(itertools.product(*others))
        name, kind = TIMES.join(names), MAIN if len(names) == 1 else INTERACTION
        term = Term(name, names, kind, p=float(p_values.get(name, math.nan)))
        if len(choices) == 1:
            family.append(replace(term, levels=choices[0], base=base))
        else:
            family.append(term)
            parts += [Term(f"{name}: {TIMES.join(c)}", names, LEVEL, levels=c, base=base) for c in choices]
    return [*family, *parts]


def _estimated(terms: list[Term], grid: _Grid, complete: Weights) -> list[Term]:
    """The terms by their seeds alone.

    Args:
        terms: As `_terms` made them.
        grid: The design.
        complete: Values of the seeds in which every combination is complete, (seeds, combinations).
    """
    found = []
    for term in terms:
        weights = grid.weights(term)
        own = NO_PAIRS if weights is None else paired(complete @ weights, np.zeros(len(complete)))
        found.append(replace(term, estimate=own.delta, n=len(complete), paired=own))
    return found


def _with_intervals(
    terms: Sequence[Term], grid: _Grid, anova: pd.DataFrame, margin: float | None
) -> list[Term]:
    """The terms with interval and tests by the residual that their F tests are of.

    Args:
        terms: With their estimates.
        grid: The design.
        anova: With its residual.
        margin: Of equivalence, if the study has one.
    """
    # The last row by place: a factor may be called `residual`.
    sum_sq, df = anova[["sum_sq", "df"]].to_numpy(dtype=np.float64)[-1].tolist()
    found = []
    for term in terms:
        weights = grid.weights(term)
        if weights is None:
            found.append(term)
            continue
        error = math.sqrt(sum_sq / df * float(weights @ weights) / term.n)
        low, high = t_interval(term.estimate, error, df)
        p = t_test(term.estimate, error, df) if term.kind == LEVEL else term.p
        outside = math.nan if margin is None else t_below((abs(term.estimate) - margin) / error, df)
        found.append(replace(term, ci_low=low, ci_high=high, p=p, p_equal=outside))
    return found


def _adjusted(terms: list[Term]) -> list[Term]:
    """Holm's correction over the family; a part counts only where its whole term does."""
    equal = holm([term.p_equal for term in terms if term.levels])
    by_name = dict(zip((term.name for term in terms if term.levels), equal, strict=True))
    terms = [replace(term, p_equal=by_name.get(term.name, math.nan)) for term in terms]
    family = [term for term in terms if term.kind != LEVEL]
    parts = [term for term in terms if term.kind == LEVEL]
    whole = {t.factors: p for t, p in zip(family, holm([t.p for t in family]), strict=True)}
    own = holm([t.p for t in parts]) if parts else []
    return [
        *(replace(term, p_holm=whole[term.factors]) for term in family),
        *(replace(t, p_holm=max(p, whole[t.factors])) for t, p in zip(parts, own, strict=True)),
    ]
