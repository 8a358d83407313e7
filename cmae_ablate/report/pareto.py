"""Accuracy against cost: which variants nobody beats on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.conditions import MACHINE_COSTS
from cmae_ablate.report.costs import Cost, costs_of, known_costs
from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.theme import COLUMN_INCHES, MARKERS, SMALL, FigureJob, Theme, wrapped
from cmae_ablate.report.variant_legend import VariantLegend
from cmae_ablate.report.wording import Metric, counted, listing, one_line, significant

PANEL_INCHES = 1.75
PREFERRED = (
    *("flops.pretrain_image", "seconds.pretrain", "params.decoder", "memory.pretrain", "params.encoder"),
)
"""FLOPs are the same on every machine; seconds and memory are not, and no axis where machines were mixed."""
MEANS, SPREAD = "Means", "; error bars: one standard deviation over seeds"
FRONT = " The line joins the variants that no other beats on both counts."
FURTHER = " Further costs stand in the table."
SEE_THROUGH = 0.45
"""Opacity of a mark's inside: variants at the same place are still seen."""


def pareto(comparison: Comparison, cells: Cells) -> FigureJob | None:
    """Accuracy against one cost: the first of `PREFERRED` that differs between variants; None without any.

    The others mostly put the variants into the same order, and stand in the table.
    """
    shown = [e for e in comparison.effects if e.paired.n > 0]
    costs = {e.variant: costs_of(cells, e.variant) for e in shown}
    known = sorted(known_costs(cells), key=lambda cost: PREFERRED.index(cost.column))
    one_scale = cells.conditions.alike(*costs) if costs else True
    comparable = [cost for cost in known if one_scale or cost.column not in MACHINE_COSTS]
    cost = next(
        (c for c in comparable if len({v.get(c.column) for v in costs.values()} - {math.nan}) > 1), None
    )
    if cost is None:
        return None
    labels, study = [e.variant for e in shown], comparison.description
    places = [study.variants.index(label) for label in labels]
    means = [e.paired.mean for e in shown]
    spreads = [e.paired.std for e in shown]
    xs = [costs[label][cost.column] / cost.scale for label in labels]
    # Lower is better for a loss; for everything else that the evaluations report, higher is.
    sign = -1.0 if comparison.metric.lower_is_better else 1.0

    def draw(theme: Theme) -> Figure:
        legend = VariantLegend.of(labels, study, short=14, abreast=3)
        figure = Figure(figsize=(COLUMN_INCHES, PANEL_INCHES + legend.inches), layout="constrained")
        axes = figure.add_subplot()
        _panel(axes, cost, theme, places=places, xs=xs, means=means, spreads=spreads)
        _front(axes, xs, means, sign, theme)
        axes.set_ylabel(wrapped(comparison.metric.label, 24, 2))
        legend.add_to(figure, lambda place: Line2D([], [], linestyle="none", **_mark(place, theme)), length=1)
        return figure

    alt = _alt(comparison.metric, labels, means, [costs[v] for v in labels], [cost])
    legend = f"{MEANS}{'' if all(map(math.isnan, spreads)) else SPREAD}."
    legend += FRONT if len(_undominated(xs, [sign * m for m in means])) > 1 else ""
    legend += FURTHER if len(known) > 1 else ""
    return FigureJob("pareto", "Accuracy against cost", alt, draw, legend)


def _mark(place: int, theme: Theme) -> dict[str, Any]:
    """What a variant's mark looks like, here and in the legend."""
    colour = theme.colour(place)
    return {
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 4,
        "markerfacecolor": (colour, SEE_THROUGH),
        "markeredgecolor": colour,
    }


def _panel(
    axes: Axes,
    cost: Cost,
    theme: Theme,
    *,
    places: Sequence[int],
    xs: Sequence[float],
    means: Sequence[float],
    spreads: Sequence[float],
) -> None:
    """Mean with one standard deviation over seeds; a logarithmic cost axis where costs span tenfold."""
    for place, x, mean, spread in zip(places, xs, means, spreads, strict=True):
        axes.errorbar(
            x,
            mean,
            yerr=None if math.isnan(spread) else spread,
            color=theme.colour(place),
            elinewidth=0.8,
            zorder=3,
            **_mark(place, theme),
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
