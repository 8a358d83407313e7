"""Waterfall figure: from all off to all on, what each factor adds or takes away, with its interval."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmae_ablate.report.attribution import PATH, SHAPLEY, Attribution, Part, interval_of, sentence
from cmae_ablate.report.theme import COLUMN_INCHES, FONT, SMALL, FigureJob, Theme, number_x, wrapped
from cmae_ablate.report.wording import Metric, capitalised, counted, one_line

ROW_INCHES = 0.34
LABEL_WIDTH = 24
TITLES = {
    PATH: "From all off to all on, one factor after the other",
    SHAPLEY: "What each factor brings, over all orders (Shapley values)",
}
LEGEND = (
    "Each bar begins where the one above ends; together they are the whole difference, over the {seeds} in "
    "which every variant of the figure is complete."
)
INTERVALS = " Thin lines: 95 % t intervals of one bar's length, not adjusted for several factors."
ORDER = " Another order may give other steps."


def waterfall(found: Attribution, metric: Metric) -> FigureJob:
    """A bar a factor, between a mark for all off and one for all on."""

    def draw(theme: Theme) -> Figure:
        rows = len(found.parts) + 2
        figure = Figure(figsize=(COLUMN_INCHES, 0.55 + ROW_INCHES * rows), layout="constrained")
        axes = figure.add_subplot()
        at = found.start
        _end(axes, 0, at, metric, theme)
        for row, part in enumerate(found.parts, start=1):
            _bar(axes, row, at, part, metric, theme)
            at += part.paired.delta
        _end(axes, rows - 1, at, metric, theme)
        labels = [found.off, *(f"+ {part.level}" for part in found.parts), found.on]
        axes.set_yticks(range(rows), [wrapped(one_line(label), LABEL_WIDTH) for label in labels])
        axes.tick_params(axis="y", length=0, labelsize=SMALL if max(map(len, labels)) > LABEL_WIDTH else FONT)
        axes.set_ylim(rows - 0.4, -0.6)
        number_x(axes)
        axes.spines["left"].set_visible(False)
        axes.use_sticky_edges = False  # a bar's own edge would end the axis
        axes.margins(x=0.06)
        axes.grid(axis="x")
        axes.set_xlabel(metric.label)
        return figure

    legend = LEGEND.format(seeds=counted(found.whole.n, "seed"))
    legend += (INTERVALS if found.whole.n > 1 else "") + (ORDER if found.kind == PATH else "")
    alt = f"Waterfall of {metric.words} {sentence(found, metric)}."
    return FigureJob(found.kind, TITLES[found.kind], capitalised(alt), draw, legend)


def _end(axes: Axes, row: int, value: float, metric: Metric, theme: Theme) -> None:
    axes.plot(value, row, marker="D", markersize=4.5, color=theme.ink, linestyle="none")
    _number(axes, row, metric.text(value))


def _bar(axes: Axes, row: int, start: float, part: Part, metric: Metric, theme: Theme) -> None:
    """From the height reached so far; the interval lies around the bar's own end."""
    result = part.paired
    end = start + result.delta
    colour = theme.palette[0] if result.delta >= 0 else theme.palette[1]
    axes.barh(row, result.delta, left=start, height=0.5, color=colour, alpha=0.75)
    axes.plot([end, end], [row - 0.25, row + 1.0], color=theme.faint, linewidth=0.5, linestyle=(0, (2, 2)))
    text = metric.signed(result.delta)
    if result.n > 1:
        axes.plot([start + result.ci_low, start + result.ci_high], [row, row], color=theme.ink, linewidth=1.0)
        text = f"{text}\n{interval_of(result, metric)}"
    _number(axes, row, text)


def _number(axes: Axes, row: int, text: str) -> None:
    axes.text(
        1.03, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=SMALL, linespacing=1.1
    )
