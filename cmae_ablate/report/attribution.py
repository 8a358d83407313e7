"""What each factor brings on the way from all off to all on: one after the other, and over all orders.

An ablation path changes one factor after the other (Fawcett and Hoos 2016, 'Analysing differences between
algorithm configurations through ablation'), so that its steps add up to the whole difference; each step is
that factor's worth *beside those before it*. A factor's Shapley value (Shapley 1953) is the mean of its steps
over all orders, for which every combination must have been trained; these values add up to the whole
difference, too. Both are contrasts within a seed: each seed gives one number a factor, and intervals are t
intervals of these numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.effects import span_of
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.stats import Paired, paired
from cmae_ablate.report.wording import ALIKE, Metric, in_quotes

Kind = Literal["path", "shapley"]
PATH: Final = "path"
SHAPLEY: Final = "shapley"
MOST_FACTORS = 10
"""A grid of ten two-level factors has 1,024 variants: more is no study."""
WHOLE = "all"
"""The row of the whole difference."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One factor's share of the whole difference.

    Attributes:
        factor: Its name.
        level: What it is turned to.
        variant: Of a step, the variant with the factor on; empty for a Shapley value.
        against: The variant before that step.
        paired: The share by seed: mean, interval and p, not adjusted for several factors.
        lowest: Of a Shapley value, the smallest mean contribution beside any set of other factors.
        highest: The largest: far from `lowest`, the factor's worth depends on what else is on.
    """

    factor: str
    level: str
    paired: Paired
    variant: str = ""
    against: str = ""
    lowest: float = math.nan
    highest: float = math.nan


@dataclass(frozen=True)
class Attribution:
    """The whole difference and its parts, over the seeds in which every variant of it is complete.

    Attributes:
        kind: `path` or `shapley`.
        off: The variant with every factor at its first level.
        on: That with every factor at its last.
        start: Mean of the metric of `off`.
        parts: In the order of the path, or of the study's factors. Their means add up to `whole`.
        whole: `on` against `off`.
    """

    kind: Kind
    off: str
    on: str
    start: float
    parts: tuple[Part, ...]
    whole: Paired

    @property
    def table(self) -> pd.DataFrame:
        """`path.csv` or `shapley.csv`: one row a factor, then the whole difference."""
        whole = Part(WHOLE, "", self.whole, self.on, self.off)
        rows = [_row(part) for part in (*self.parts, whole)]
        frame = pd.DataFrame(rows)
        other = ["lowest", "highest"] if self.kind == PATH else ["variant", "against"]
        return frame.drop(columns=other)


def _row(part: Part) -> dict[str, object]:
    of = part.paired
    return {
        "factor": part.factor,
        "level": part.level,
        "variant": part.variant,
        "against": part.against,
        "n": of.n,
        "delta": of.delta,
        "std": of.noise,
        "ci_low": of.ci_low,
        "ci_high": of.ci_high,
        "p": of.tested_p,
        "lowest": part.lowest,
        "highest": part.highest,
    }


def along_path(cells: Cells) -> Attribution | None:
    """The steps of the study's path; None where its design has none, or no seed is complete along it."""
    labels = cells.description.path if cells.description.rule is None else ()
    values = _complete(cells, labels)
    if values is None:
        return None
    span = _span(cells)
    parts = tuple(
        Part(
            factor,
            cells.description.factors[factor][-1],
            paired(values[:, at + 1], values[:, at], span),
            variant=labels[at + 1],
            against=labels[at],
        )
        for at, factor in enumerate(_changed(cells.description, labels))
    )
    return _attribution(PATH, labels, values, parts, span)


def over_orders(cells: Cells) -> Attribution | None:
    """The factors' Shapley values; None where not every combination of two-level factors is complete."""
    study = cells.description
    factors = study.crossed_factors
    if study.rule is not None:  # its intervals do not allow for several looks
        return None
    if not study.is_grid or len(factors) > MOST_FACTORS or any(len(study.factors[f]) != 2 for f in factors):
        return None
    by_set = {_on(study, variant, factors): variant for variant in study.variants}
    sets = sorted(by_set, key=lambda on: (len(on), sorted(on)))
    labels = tuple(by_set[on] for on in sets)
    values = _complete(cells, labels)
    if values is None:
        return None
    column = {on: at for at, on in enumerate(sets)}
    span = _span(cells)
    parts = tuple(_shapley(study, factor, values, column, span) for factor in factors)
    return _attribution(SHAPLEY, labels, values, parts, span)


def _shapley(
    study: StudyDescription,
    factor: str,
    values: Values,
    column: Mapping[frozenset[str], int],
    span: float,
) -> Part:
    """One factor's value: what it adds to each set of others, weighted by how many orders have it."""
    others = [name for name in study.crossed_factors if name != factor]
    total = np.zeros(len(values))
    means = []
    for size in range(len(others) + 1):
        weight = 1 / ((len(others) + 1) * math.comb(len(others), size))
        for beside in map(frozenset, itertools.combinations(others, size)):
            gain = values[:, column[beside | {factor}]] - values[:, column[beside]]
            total += weight * gain
            means.append(float(gain.mean()))
    value = paired(total, np.zeros(len(total)), span)
    return Part(factor, study.factors[factor][1], value, lowest=min(means), highest=max(means))


def _attribution(
    kind: Kind, labels: Sequence[str], values: Values, parts: tuple[Part, ...], span: float
) -> Attribution:
    start, end = values[:, 0], values[:, -1]
    whole = paired(end, start, span)
    return Attribution(kind, labels[0], labels[-1], float(start.mean()), parts, whole)


def _span(cells: Cells) -> float:
    metric = cells.description.metric
    return span_of(Metric.named(metric), cells.by_seed(metric))


def _complete(cells: Cells, labels: Sequence[str]) -> Values | None:
    """The metric of the seeds in which all of these variants are complete, (seeds, variants)."""
    values = cells.by_seed(cells.description.metric)
    if len(labels) < 3 or not set(labels) <= set(values.columns):
        return None
    complete = values[list(labels)].dropna().to_numpy(dtype=np.float64)
    return complete if len(complete) else None


def _on(study: StudyDescription, variant: str, factors: Sequence[str]) -> frozenset[str]:
    """The factors that are at their second level."""
    return frozenset(f for f in factors if study.levels[variant][f] == study.factors[f][1])


def _changed(study: StudyDescription, labels: Sequence[str]) -> list[str]:
    """The factor that each step changes."""
    levels = [study.levels[label] for label in labels]
    return [next(f for f in study.factors if a[f] != b[f]) for a, b in itertools.pairwise(levels)]


def interval_of(result: Paired, metric: Metric) -> str:
    """A part's interval, or what stands in its place where all seeds agree; nothing of a single seed."""
    if result.noiseless:
        return f"({ALIKE})"
    return metric.interval(result.ci_low, result.ci_high)


def sentence(found: Attribution, metric: Metric) -> str:
    """The parts in words, for those who cannot see the figure."""
    told = "; ".join(
        f"{part.level} {metric.signed(part.paired.delta)} "
        f"{interval_of(part.paired, metric) or '(no interval)'}"
        for part in found.parts
    )
    whole = metric.signed(found.whole.delta)
    return f"from {in_quotes(found.off)} at {metric.text(found.start)}: {told}; together {whole}"
