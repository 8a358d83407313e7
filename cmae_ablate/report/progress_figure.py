"""Progress as a figure: accuracies by epoch, and the paired differences, with 95 % bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmae_ablate.report.curves import add_lines, dash, legend_of_lines
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.progress import Progress
from cmae_ablate.report.short_labels import by_against
from cmae_ablate.report.theme import COLUMN_INCHES, SMALL, FigureJob, Theme, wrapped
from cmae_ablate.report.wording import counted, listing, one_line

Line = Sequence[tuple[int, float, float, float]]
"""Epoch, mean, lower and upper end of its interval (NaN where there is none)."""


def progress_figure(found: Progress | None, study: StudyDescription) -> FigureJob | None:
    """Above the accuracies, below the differences by what is compared with; None below two epochs.

    Args:
        found: What was measured.
        study: Whose variants, in table order, take the colours that they have in every figure.
    """
    if found is None or len({point.epoch for point in found.points}) < 2:
        return None
    variants = [v for v in study.variants if any(point.variant == v for point in found.points)]
    place = {variant: index for index, variant in enumerate(study.variants)}
    # A panel for each variant that others are compared with: in one, lines of one variant would look alike.
    groups = by_against([lead for lead in found.leads if lead.since is None])

    def draw(theme: Theme) -> Figure:
        legend = legend_of_lines(variants, study)
        panels = 1 + len(groups)
        figure = Figure(figsize=(COLUMN_INCHES, 1.75 * panels + legend.inches), layout="constrained")
        top = figure.add_subplot(panels, 1, 1)
        for variant in variants:
            own = [point for point in found.points if point.variant == variant]
            _line(top, [(p.epoch, p.mean, p.ci_low, p.ci_high) for p in own], place[variant], theme)
        top.set_ylabel(wrapped(found.metric.label, 24, 2))
        for panel, (against, leads) in enumerate(groups, start=2):
            below = figure.add_subplot(panels, 1, panel, sharex=top)
            below.axhline(0, color=theme.ink, linewidth=0.6)
            for variant in dict.fromkeys(lead.variant for lead in leads):
                of_it = [lead for lead in leads if lead.variant == variant]
                line = [(e.epoch, e.paired.delta, e.paired.ci_low, e.paired.ci_high) for e in of_it]
                _line(below, line, place[variant], theme)
            below.set_title(wrapped(f"from {against}", 52, 2), loc="left", fontsize=SMALL, fontweight="bold")
            unit = found.metric.unit.strip()
            below.set_ylabel(f"difference ({unit})" if unit else "difference")
        for axes in figure.axes:
            axes.grid()
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            axes.tick_params(axis="both", labelsize=SMALL)
        figure.axes[-1].set_xlabel("epoch")
        add_lines(legend, figure, theme)
        return figure

    alt = (
        f"{found.metric.words} on the way, by epoch, for {counted(len(variants), 'variant')} "
        f"({listing([one_line(v) for v in variants])}){'; below, paired differences' if groups else ''}."
    )
    below = " Below, paired differences from the variants in bold." if groups else ""
    has_bands = any(point.n > 1 for point in found.points)
    bands = " Bands: 95 % t intervals, each of one epoch by itself." if has_bands else ""
    legend = f"Lines: means over seeds.{bands}{below}"
    return FigureJob("progress", "Progress inside the trainings (validation images)", alt, draw, legend)


def _line(axes: Axes, points: Line, index: int, theme: Theme) -> None:
    epochs, mean, low, high = np.array(points, dtype=float).T
    colour = theme.colour(index)
    axes.plot(epochs, mean, color=colour, linestyle=dash(index), linewidth=1.0, marker="o", markersize=2.5)
    known = ~np.isnan(low)
    if known.any():
        axes.fill_between(epochs[known], low[known], high[known], color=colour, alpha=0.18, linewidth=0)
