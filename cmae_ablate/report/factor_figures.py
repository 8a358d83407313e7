"""Main-effect and interaction plots of a full grid."""

from __future__ import annotations

import itertools
import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmae_ablate.report.factorial import Factorial
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.theme import COLUMN_INCHES, DASHES, MARKERS, SMALL, FigureJob, Theme, wrapped
from cmae_ablate.report.wording import Metric, one_line

PANEL_INCHES = 1.75
MOST_PAIRS = 6


def main_effects(result: Factorial, study: StudyDescription, metric: Metric) -> FigureJob:
    """A panel a factor: the mean of each level over everything else, and each seed's mean as a point."""

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(COLUMN_INCHES, PANEL_INCHES * len(result.factors)), layout="constrained")
        for index, factor in enumerate(result.factors):
            axes = figure.add_subplot(len(result.factors), 1, index + 1)
            levels = study.factors[factor]
            per_seed = result.cells.pivot_table(index="seed", columns=factor, values="value")
            per_seed = per_seed.reindex(columns=list(levels))
            for _, seed in per_seed.iterrows():
                axes.plot(range(len(levels)), seed.to_numpy(), color=theme.faint, linewidth=0.4, alpha=0.7)
            _line(axes, per_seed.mean(), theme, 0)
            _levels(axes, factor, levels, metric)
        return figure

    parts = []
    for factor in result.factors:
        means = result.cells.groupby(factor, sort=False)["value"].mean()
        told = ", ".join(
            f"{one_line(str(level))} {metric.text(float(mean))}" for level, mean in means.items()
        )
        parts.append(f"{one_line(factor)}: {told}")
    alt = f"Mean {metric.label} of each factor's levels. {'; '.join(parts)}."
    over = " Both are means over the other factors." if len(result.factors) > 1 else ""
    legend = f"Thick lines: means over seeds. Grey lines: single seeds.{over}"
    return FigureJob("main_effects", "Main effects", alt, draw, legend)


def interactions(result: Factorial, study: StudyDescription, metric: Metric) -> FigureJob:
    """A panel for each pair of factors: parallel lines would mean that they do not interact."""
    every = list(itertools.combinations(result.factors, 2))
    pairs = every[:MOST_PAIRS]

    def draw(theme: Theme) -> Figure:
        tallest = max(len(study.factors[by]) for _, by in pairs)
        height = PANEL_INCHES + 0.13 * tallest
        figure = Figure(figsize=(COLUMN_INCHES, height * len(pairs)), layout="constrained")
        for index, (along, by) in enumerate(pairs):
            axes = figure.add_subplot(len(pairs), 1, index + 1)
            means = result.cells.pivot_table(index=along, columns=by, values="value")
            for line, level in enumerate(study.factors[by]):
                if level in means.columns:
                    own = means[level].reindex(list(study.factors[along]))
                    _line(axes, own, theme, line, wrapped(f"{by}: {level}", 50, 2))
            _levels(axes, along, study.factors[along], metric)
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.2, labelspacing=0.3)
        return figure

    named = "; ".join(f"{one_line(a)} by {one_line(b)}" for a, b in pairs)
    alt = f"Interaction plots of mean {metric.label}: {named}. The table of variance has the tests."
    over = " and over the other factors" if len(result.factors) > 2 else ""
    legend = f"Means over seeds{over}; without an interaction the lines are parallel but for noise."
    legend += f" The first {MOST_PAIRS} of {len(every)} pairs of factors." if len(every) > MOST_PAIRS else ""
    return FigureJob("interactions", "Interactions", alt, draw, legend)


def _line(axes: Axes, means: pd.Series[float], theme: Theme, index: int, label: str = "") -> None:
    axes.plot(
        range(len(means)),
        means.to_numpy(),
        color=theme.colour(index),
        marker=MARKERS[index % len(MARKERS)],
        markersize=4,
        linewidth=1.2,
        linestyle=DASHES[index % len(DASHES)],
        label=label,
    )


def _levels(axes: Axes, factor: str, levels: tuple[str, ...], metric: Metric) -> None:
    width = max(8, math.floor(46 / len(levels)))
    crowded = len(levels) > 5
    axes.set_xticks(range(len(levels)), [wrapped(level, 22 if crowded else width) for level in levels])
    if crowded:
        axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(axis="both", labelsize=SMALL)
    axes.set_xlabel(wrapped(factor, 50, 2))
    axes.set_ylabel(metric.label)
    axes.margins(x=0.12)
    axes.grid(axis="y")
