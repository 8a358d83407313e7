"""Accuracy against cost: which variants nobody beats on both."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.costs import Cost, costs_of, known_costs
from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.short_labels import ShortLabels
from cmae_ablate.report.theme import COLUMN_INCHES, MARKERS, SMALL, FigureJob, Theme, wrapped
from cmae_ablate.report.wording import Metric, counted, listing, one_line, significant

PANEL_INCHES = 1.75
PREFERRED = (
    *("flops.pretrain_image", "seconds.pretrain", "params.decoder", "memory.pretrain", "params.encoder"),
)
"""FLOPs are the same on every machine; seconds and memory are not."""
LEGEND = (
    "Means; error bars: one standard deviation over seeds. The line joins the variants that no other beats "
    "on both counts. Further costs stand in the table."
)
SEE_THROUGH = 0.45
"""Opacity of a mark's inside: variants at the same place are still seen."""
SHORT = 14
"""Labels up to this many characters stand three abreast in the legend."""


def pareto(comparison: Comparison, cells: Cells) -> FigureJob | None:
    """Accuracy against one cost: the first of `PREFERRED` that differs between variants; None without any.

    The others mostly put the variants into the same order, and stand in the table.
    """
    shown = [e for e in comparison.effects if e.paired.n > 0]
    costs = {e.variant: costs_of(cells, e.variant) for e in shown}
    known = sorted(known_costs(cells), key=lambda cost: PREFERRED.index(cost.column))
    cost = next((c for c in known if len({v.get(c.column) for v in costs.values()} - {math.nan}) > 1), None)
    if cost is None:
        return None
    labels, names = [e.variant for e in shown], ShortLabels.of(comparison.description)
    means = [e.paired.mean for e in shown]
    spreads = [e.paired.std for e in shown]
    xs = [costs[label][cost.column] / cost.scale for label in labels]
    # Lower is better for a loss; for everything else that the evaluations report, higher is.
    sign = -1.0 if comparison.metric.lower_is_better else 1.0

    def draw(theme: Theme) -> Figure:
        legend = [wrapped(names.in_legend(label), 62, 2) for label in labels]
        columns = 3 if max(map(len, legend)) <= SHORT else 1
        inches = 0.13 * sum(text.count("\n") + 1.1 for text in legend) / columns + 0.3 + 0.13 * names.shortens
        figure = Figure(figsize=(COLUMN_INCHES, PANEL_INCHES + inches), layout="constrained")
        axes = figure.add_subplot()
        _panel(axes, cost, theme, xs=xs, means=means, spreads=spreads)
        _front(axes, xs, means, sign, theme)
        axes.set_ylabel(wrapped(comparison.metric.label, 24, 2))
        handles = [_handle(i, text, theme) for i, text in enumerate(legend)]
        figure.legend(
            handles=handles,
            title=names.legend_title,
            alignment="left",
            loc="outside lower left",
            labelspacing=0.35,
            handletextpad=0.3,
            ncols=columns,
        )
        return figure

    alt = _alt(comparison.metric, labels, means, [costs[v] for v in labels], [cost])
    return FigureJob("pareto", "Accuracy against cost", alt, draw, LEGEND)


def _handle(index: int, text: str, theme: Theme) -> Line2D:
    marker = MARKERS[index % len(MARKERS)]
    colour = theme.colour(index)
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=4,
        markerfacecolor=(colour, SEE_THROUGH),
        markeredgecolor=colour,
        label=text,
    )


def _panel(
    axes: Axes,
    cost: Cost,
    theme: Theme,
    *,
    xs: Sequence[float],
    means: Sequence[float],
    spreads: Sequence[float],
) -> None:
    """Mean with one standard deviation over seeds; a logarithmic cost axis where costs span tenfold."""
    for index, (x, mean, spread) in enumerate(zip(xs, means, spreads, strict=True)):
        axes.errorbar(
            x,
            mean,
            yerr=None if math.isnan(spread) else spread,
            marker=MARKERS[index % len(MARKERS)],
            color=theme.colour(index),
            markerfacecolor=(theme.colour(index), SEE_THROUGH),
            markeredgecolor=theme.colour(index),
            markersize=4,
            elinewidth=0.8,
            zorder=3,
        )
    known = [x for x in xs if x > 0]
    if known and max(known) > 10 * min(known) and len(known) == len(xs):
        axes.set_xscale("log")
        # Mathtext is off, since labels may hold any character: plain numbers instead of powers.
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))  # more would touch each other
    axes.set_xlabel(cost.axis)
    axes.margins(x=0.08, y=0.12)
    axes.grid()
    axes.tick_params(axis="both", labelsize=SMALL)


def _front(axes: Axes, xs: Sequence[float], means: Sequence[float], sign: float, theme: Theme) -> None:
    """A step line along what no variant beats on both counts."""
    front = _undominated(xs, [sign * m for m in means])
    if len(front) > 1:
        axes.step(
            [xs[i] for i in front],
            [means[i] for i in front],
            where="post",
            color=theme.faint,
            linewidth=0.7,
            zorder=1,
        )


def _undominated(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Indices with no other that costs no more and gains more (or costs less and gains as much), by cost."""
    front: list[int] = []
    for index in sorted(range(len(costs)), key=lambda i: (costs[i], -gains[i])):
        if not math.isnan(costs[index]) and (not front or gains[index] > gains[front[-1]]):
            front.append(index)
    return front


def _alt(
    metric: Metric,
    labels: Sequence[str],
    means: Sequence[float],
    costs: Sequence[dict[str, float]],
    shown: Sequence[Cost],
) -> str:
    parts = [
        f"{one_line(label)}: {metric.text(mean)} at "
        + listing([f"{significant(own[c.column] / c.scale)} {c.header}" for c in shown])
        for label, mean, own in zip(labels, means, costs, strict=True)
    ]
    return f"Mean {metric.label} of {counted(len(labels), 'variant')} against cost. {'; '.join(parts)}."
