"""Forest plot: every paired difference, its interval, and every seed behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from cmae_ablate.report.caption import mark_words
from cmae_ablate.report.effects import DECLARED, Comparison, Effect
from cmae_ablate.report.short_labels import ShortLabels, by_against
from cmae_ablate.report.tables import difference
from cmae_ablate.report.theme import COLUMN_INCHES, FONT, SMALL, FigureJob, Theme, number_x, wrapped
from cmae_ablate.report.verdict import is_detected
from cmae_ablate.report.wording import ALIKE, DAGGER, Metric, counted, one_line

ROW_INCHES = 0.36
HEADING_ROWS, HEADING_LINE = 0.1, 0.36
"""Height of a group's heading, and of each of its lines, in rows."""
LABEL_WIDTH, HEADING_WIDTH = 22, 52
INTERVALS = "Diamonds: mean differences, filled where detected after {}'s correction. Bars: 95 % {}s."
SEEDS = "Circles: single seeds."
CLIPPED = "Arrows: the interval goes on."
CLIP = 4.0
"""An interval this many times wider than what the others need is drawn with an arrow at the axis' end."""


@dataclass(frozen=True)
class _Layout:
    """Where rows stand, in rows from the top: one a comparison, below a heading for what it is compared with.

    Attributes:
        rows: Place, label and comparison.
        headings: Place and text; none where all are compared with one variant, which the title names.
        height: All of it.
        title: Above the axes.
    """

    rows: tuple[tuple[float, str, Effect], ...]
    headings: tuple[tuple[float, str], ...]
    height: float
    title: str

    @classmethod
    def of(cls, comparison: Comparison) -> _Layout:
        names = ShortLabels.of(comparison.description)
        groups = by_against(comparison.contrasts)
        several = len(groups) > 1
        top, rows, headings = 0.0, [], []
        for against, effects in groups:
            if several:
                text = wrapped(f"from {one_line(against)}", HEADING_WIDTH, 3)
                tall = HEADING_ROWS + HEADING_LINE * (text.count("\n") + 1)
                headings.append((top - 0.5 + tall / 2, text))
                top += tall
            for effect in effects:
                mark = "" if effect.family == DECLARED else DAGGER
                label = f"{names.beside(effect.variant, against)}{mark}"
                rows.append((top, wrapped(label, LABEL_WIDTH), effect))
                top += 1
        what = "what differs from it" if names.shortens else "the other"
        title = (
            f"Paired differences from the variants in bold; a row names {what}"
            if several
            else f"Paired difference from {one_line(comparison.description.reference)}"
        )
        return cls(tuple(rows), tuple(headings), max(1.0, top), title)


def forest(comparison: Comparison) -> FigureJob:
    """One row a comparison, below what it is compared with; a filled mark differs detectably after Holm."""
    layout = _Layout.of(comparison)
    effects = comparison.contrasts
    low, high = _limits(effects)

    def draw(theme: Theme) -> Figure:
        size = (COLUMN_INCHES, 0.95 + ROW_INCHES * layout.height)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        figure.suptitle(wrapped(layout.title, HEADING_WIDTH, 3), fontsize=7.5, x=0.02, ha="left")
        _axes(axes, layout, comparison, theme)
        for place, _, effect in layout.rows:
            detected = is_detected(effect) and comparison.sensitive is not False
            _row(axes, place, effect, (low, high), theme, detected=detected)
            _numbers(axes, place, effect, comparison.metric)
        axes.set_xlim(low, high)
        return figure

    title = "Paired differences" if layout.headings else "Differences from the reference"
    legend = [
        (
            _has_intervals(comparison),
            INTERVALS.format(comparison.correction, comparison.description.interval),
        ),
        (any(e.paired.n for e in effects), SEEDS),
        (any(e.paired.ci_low < low or e.paired.ci_high > high for e in effects), CLIPPED),
        (bool(marks := mark_words(effects)), f"{marks}."),
    ]
    told = " ".join(words for is_there, words in legend if is_there)
    return FigureJob("effects", title, _alt(comparison), draw, told)


def _has_intervals(comparison: Comparison) -> bool:
    """Whether any comparison has more than a single seed."""
    return not all(math.isnan(effect.paired.ci_low) for effect in comparison.contrasts)


def _axes(axes: Axes, layout: _Layout, comparison: Comparison, theme: Theme) -> None:
    labels = [label for _, label, _ in layout.rows]
    axes.set_yticks([place for place, _, _ in layout.rows], labels)
    axes.set_ylim(layout.height - 0.4, -0.6)
    long = any("\n" in label for label in labels)
    axes.tick_params(axis="y", length=0, labelsize=SMALL if long else FONT)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=bool(labels), axis="x")
    if labels:
        axes.axvline(0, color=theme.ink, linewidth=0.8)
    else:
        axes.text(0.5, 0.5, "nothing to compare", transform=axes.transAxes, ha="center", va="center")
    for place, text in layout.headings:
        _heading(axes, place, text, theme)
    number_x(axes)
    interval = f"95 % {comparison.description.interval}" if _has_intervals(comparison) else ""
    measures = ", ".join(filter(None, [comparison.metric.unit.strip(), interval]))
    measured = comparison.metric.words + (f" ({measures})" if measures else "")
    axes.set_xlabel(wrapped(measured, HEADING_WIDTH))


def _heading(axes: Axes, place: float, text: str, theme: Theme) -> None:
    """From the figure's left edge to its right, over grid and zero line; it takes no part in the layout."""
    figure = axes.get_figure()
    assert figure is not None
    across = blended_transform_factory(figure.transFigure, axes.transData)
    axes.text(
        0.02,
        place,
        text,
        transform=across,
        va="center",
        fontsize=SMALL,
        fontweight="bold",
        linespacing=1.1,
        bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 1.5},
    ).set_in_layout(False)


def _row(
    axes: Axes, row: float, effect: Effect, limits: tuple[float, float], theme: Theme, *, detected: bool
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


def _numbers(axes: Axes, row: float, effect: Effect, metric: Metric) -> None:
    """The same numbers as in the table, to the right of the axes."""
    result = effect.paired
    if result.n == 0:
        text = "no paired seed"
    elif result.n == 1:
        text = f"{metric.signed(result.delta)}\n(one seed)"
    else:
        alike = result.noiseless and not effect.identical
        interval = ALIKE if alike else metric.interval(result.ci_low, result.ci_high)
        text = f"{metric.signed(result.delta)} (n = {result.n})\n{interval}{'*' if effect.planned else ''}"
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
    groups = []
    for against, effects in by_against([e for e in comparison.contrasts if e.paired.n]):
        parts = [f"{one_line(effect.variant)} {difference(effect, metric)}" for effect in effects]
        groups.append(f"from {one_line(against)}: {'; '.join(parts)}")
    counted_pairs = counted(len(comparison.contrasts), "paired difference")
    return f"Forest plot of {counted_pairs} in {metric.words} {'. '.join(groups) or ': none'}."
