"""Forest plot: every paired difference against the reference, its interval, and every seed behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmae_ablate.report.effects import DECLARED, Comparison, Effect
from cmae_ablate.report.theme import COLUMN_INCHES, FONT, SMALL, FigureJob, Theme, wrapped
from cmae_ablate.report.verdict import is_detected
from cmae_ablate.report.wording import DAGGER, Metric, counted, one_line

ROW_INCHES = 0.36
LABEL_WIDTH = 22
LEGEND = (
    "Diamonds: mean differences, filled where detected after Holm's correction. Bars: 95 % {}s. "
    "Circles: single seeds."
)
CLIP = 4.0
"""An interval this many times wider than what the others need is drawn with an arrow at the axis' end."""


def forest(comparison: Comparison) -> FigureJob:
    """One row a comparison, in table order; a filled mark differs detectably after Holm's correction."""
    effects = comparison.contrasts

    def draw(theme: Theme) -> Figure:
        figure = Figure(
            figsize=(COLUMN_INCHES, 0.95 + ROW_INCHES * max(1, len(effects))), layout="constrained"
        )
        axes = figure.add_subplot()
        title = wrapped(f"Paired difference from {comparison.description.reference}", 52, 3)
        figure.suptitle(title, fontsize=7.5, x=0.02, ha="left")
        _axes(axes, effects, comparison, theme)
        low, high = _limits(effects)
        for row, effect in enumerate(effects):
            detected = is_detected(effect) and comparison.sensitive is not False
            _row(axes, row, effect, (low, high), theme, detected=detected)
            _numbers(axes, row, effect, comparison.metric)
        axes.set_xlim(low, high)
        return figure

    legend = LEGEND.format(comparison.description.interval)
    return FigureJob("effects", "Differences from the reference", _alt(comparison), draw, legend)


def _axes(axes: Axes, effects: Sequence[Effect], comparison: Comparison, theme: Theme) -> None:
    labels = [wrapped(_label(effect, comparison), LABEL_WIDTH) for effect in effects]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(max(1, len(labels)) - 0.4, -0.6)
    long = any("\n" in label for label in labels)
    axes.tick_params(axis="y", length=0, labelsize=SMALL if long else FONT)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=bool(effects), axis="x")
    if effects:
        axes.axvline(0, color=theme.ink, linewidth=0.8)
    else:
        axes.text(0.5, 0.5, "nothing to compare", transform=axes.transAxes, ha="center", va="center")
    axes.locator_params(axis="x", nbins=5)
    unit = f"{comparison.metric.unit.strip()}, " if comparison.metric.unit else ""
    axes.set_xlabel(f"{comparison.metric.words} ({unit}95 % {comparison.description.interval})")


def _label(effect: Effect, comparison: Comparison) -> str:
    name = effect.variant
    if effect.against != comparison.description.reference:
        name = f"{name} vs {effect.against}"
    return one_line(name) + ("" if effect.family == DECLARED else f" {DAGGER}")


def _row(
    axes: Axes, row: int, effect: Effect, limits: tuple[float, float], theme: Theme, *, detected: bool
) -> None:
    result, (low, high) = effect.paired, limits
    colour = theme.palette[0] if detected else theme.faint
    shift = 0.2 if result.n > 1 else 0.0
    axes.plot(
        effect.differences,
        np.full(len(effect.differences), row + shift),
        linestyle="none",
        marker="o",
        markersize=2.6,
        markerfacecolor="none",
        markeredgecolor=theme.palette[1],
        markeredgewidth=0.6,
    )
    if not math.isnan(result.ci_low):
        axes.plot(
            [max(low, result.ci_low), min(high, result.ci_high)], [row, row], color=colour, linewidth=1.4
        )
        for end, marker, beyond in ((low, "<", result.ci_low < low), (high, ">", result.ci_high > high)):
            if beyond:
                axes.plot(end, row, marker=marker, color=colour, markersize=4, clip_on=False)
        fill = colour if detected else theme.paper
        axes.plot(result.delta, row, marker="D", markersize=4, markerfacecolor=fill, markeredgecolor=colour)


def _numbers(axes: Axes, row: int, effect: Effect, metric: Metric) -> None:
    """The same numbers as in the table, to the right of the axes."""
    result = effect.paired
    if result.n == 0:
        text = "no paired seed"
    elif result.n == 1:
        text = f"{metric.signed(result.delta)}\n(one seed)"
    else:
        alike = result.noiseless and not effect.identical
        interval = "alike in every seed" if alike else metric.interval(result.ci_low, result.ci_high)
        text = f"{metric.signed(result.delta)} (n = {result.n})\n{interval}"
    place = axes.get_yaxis_transform()
    axes.text(1.03, row, text, transform=place, va="center", fontsize=SMALL, linespacing=1.1)


def _limits(effects: Sequence[Effect]) -> tuple[float, float]:
    """Room for every seed's point and for all but outlandish intervals; zero is always inside."""
    points = [0.0, *(d for effect in effects for d in effect.differences)]
    ends = [abs(e) for x in effects for e in (x.paired.ci_low, x.paired.ci_high) if math.isfinite(e)]
    reach = max(map(abs, points))
    usual = max(reach, float(np.median(ends)) if ends else 0.0)
    bound = CLIP * usual if usual > 0 else 1.0
    inside = [e for x in effects for e in (x.paired.ci_low, x.paired.ci_high) if abs(e) <= bound]
    clipped = [
        math.copysign(bound, e)
        for x in effects
        for e in (x.paired.ci_low, x.paired.ci_high)
        if math.isfinite(e) and abs(e) > bound
    ]
    low, high = min([*points, *inside, *clipped]), max([*points, *inside, *clipped])
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def _alt(comparison: Comparison) -> str:
    metric = comparison.metric
    parts = [
        f"{one_line(effect.variant)} {metric.signed(effect.paired.delta)} "
        f"{metric.interval(effect.paired.ci_low, effect.paired.ci_high) or '(no interval)'}"
        for effect in comparison.contrasts
        if effect.paired.n
    ]
    return (
        f"Forest plot of {counted(len(comparison.contrasts), 'paired difference')} in {metric.words} "
        f"from {one_line(comparison.description.reference)}: {'; '.join(parts) or 'none'}."
    )
