"""Forest plot over data sets: a line each, the pooled difference as a diamond, a prediction for a new one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmae_ablate.report.pooled import OverDataSets, PooledStudy
from cmae_ablate.report.pooled_values import name, on_data_set, over_data_sets
from cmae_ablate.report.random_effects import FEWEST
from cmae_ablate.report.stats import Bounds
from cmae_ablate.report.theme import COLUMN_INCHES, FONT, SMALL, FigureJob, Theme, number_x, wrapped
from cmae_ablate.report.verdict import Verdict
from cmae_ablate.report.wording import DAGGER, one_line

ROW_INCHES, LABEL_WIDTH, HEADING_WIDTH = 0.25, 22, 52
HALF_HEIGHT = 0.3
"""Of a pooled diamond, in rows."""
LEGEND = (
    "Squares and bars: mean differences on each data set, with 95 % intervals over seeds. Diamonds: the "
    "pooled mean "
    "difference, as wide as its 95 % interval, filled where detected after Holm's correction. Thick bars: 95 "
    "% "
    "prediction intervals, what as many seeds on a new data set of this kind would show."
)
SIDE_BY_SIDE = (
    "Squares and bars: mean differences on each data set, with 95 % intervals over seeds; fewer than three "
    "data sets are not pooled."
)
POOLED, NEW = "pooled", "a new data set"


def pooled_forest(study: PooledStudy) -> FigureJob:
    """A block a contrast: its data sets, then the pooled difference and the prediction."""
    pools = study.is_pooled

    def draw(theme: Theme) -> Figure:
        per_block = 1 + len(study.parts) + (2 if pools else 0)
        rows = max(1, per_block * len(study.contrasts))
        figure = Figure(figsize=(COLUMN_INCHES, 0.9 + ROW_INCHES * rows), layout="constrained")
        axes = figure.add_subplot()
        ticks: list[tuple[float, str]] = []
        for number, each in enumerate(study.contrasts):
            ticks += _block(axes, number * per_block, each, study, theme)
        axes.set_yticks([place for place, _ in ticks], [wrapped(text, LABEL_WIDTH, 2) for _, text in ticks])
        axes.tick_params(axis="y", length=0, labelsize=SMALL)
        axes.set_ylim(rows - 0.4, -0.6)
        axes.axvline(0, color=theme.ink, linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.grid(visible=True, axis="x")
        number_x(axes)
        axes.margins(x=0.06)
        unit = f" ({study.metric.unit.strip()})" if study.metric.unit else ""
        axes.set_xlabel(wrapped(f"difference in {study.metric.words}{unit}", HEADING_WIDTH))
        return figure

    return FigureJob(
        "pooled", "Differences on every data set", _alt(study), draw, LEGEND if pools else SIDE_BY_SIDE
    )


def _block(
    axes: Axes, top: int, each: OverDataSets, study: PooledStudy, theme: Theme
) -> list[tuple[float, str]]:
    mark = "" if each.family == "declared" else DAGGER
    of_variants = f"{each.variant} \N{MINUS SIGN} {each.against}"
    text = wrapped(f"{of_variants if each.term is None else name(each, study)}{mark}", HEADING_WIDTH, 1)
    axes.annotate(
        text, (0.0, top), xycoords=("axes fraction", "data"), va="center", fontsize=FONT, fontweight="bold"
    )
    ticks, metric = [], study.metric
    for row, on in enumerate(each.each, start=top + 1):
        result = on.paired
        left_out = "not pooled" if study.is_pooled else "insensitive"
        ticks.append((float(row), on.dataset if on.dataset in study.pool else f"{on.dataset} ({left_out})"))
        if result.n:
            _bar(axes, row, (result.ci_low, result.ci_high), theme.faint, 1.1)
            axes.plot(result.delta, row, marker="s", markersize=3.5, color=theme.faint)
        _number(axes, row, on_data_set(on, metric))
    if each.found.k >= FEWEST:
        row = top + len(each.each) + 1
        is_detected = each.verdict in (Verdict.HIGHER, Verdict.LOWER)
        low, high = each.found.interval
        across, down = (
            [low, each.found.mean, high, each.found.mean],
            [row, row - HALF_HEIGHT, row, row + HALF_HEIGHT],
        )
        colour = theme.palette[0] if is_detected else theme.paper
        axes.fill(across, down, facecolor=colour, edgecolor=theme.palette[0], linewidth=0.9, zorder=3)
        _number(axes, row, over_data_sets(each.found, metric))
        _bar(axes, row + 1, each.found.prediction, theme.palette[1], 3.0)
        _number(axes, row + 1, metric.interval(*each.found.prediction))
        ticks += [(float(row), POOLED), (float(row + 1), NEW)]
    return ticks


def _bar(axes: Axes, row: int, ends: Bounds, colour: str, width: float) -> None:
    if not math.isnan(ends[0]):
        axes.plot(ends, [row, row], color=colour, linewidth=width, solid_capstyle="butt")


def _number(axes: Axes, row: int, text: str) -> None:
    axes.text(1.03, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=SMALL)


def _alt(study: PooledStudy) -> str:
    return f"Forest plot over {', '.join(study.datasets)}. {' '.join(_told(study.contrasts, study))}"


def _told(contrasts: Sequence[OverDataSets], study: PooledStudy) -> list[str]:
    metric = study.metric
    return [
        f"{name(each, study)}: "
        + "; ".join(f"{one_line(on.dataset)} {on_data_set(on, metric)}" for on in each.each)
        + (f"; pooled {over_data_sets(each.found, metric)}" if each.found.k >= FEWEST else "")
        + (
            f"; a new data set {metric.interval(*each.found.prediction)}"
            if each.found.k >= FEWEST and not each.found.alike
            else ""
        )
        + "."
        for each in contrasts
    ]
