"""Learning curves: mean over seeds with a band of one standard deviation."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.localisation import PREFIX
from cmae_ablate.report.theme import COLUMN_INCHES, DASHES, SMALL, FigureJob, Theme, wrapped
from cmae_ablate.report.variant_legend import VariantLegend
from cmae_ablate.report.wording import counted, listing, one_line

MOST_PANELS = 6
COLUMNS = ("variant", "seed", "epoch", "name", "value")


def curves(logged: pd.DataFrame | None, study: StudyDescription) -> FigureJob | None:
    """A panel for each logged name, at most six; None without any curve: one epoch is but a point.

    Args:
        logged: Columns `variant, seed, epoch, name, value`.
        study: Whose variants, in table order, take the colours.
    """
    if logged is None or not set(COLUMNS) <= set(logged.columns):
        return None
    ours = logged[logged["variant"].isin(study.variants)].dropna(subset=["value"])
    names = [str(name) for name in ours["name"].drop_duplicates() if not _is_elsewhere(str(name))]
    more, names = len(names) - MOST_PANELS, names[:MOST_PANELS]
    if not names or ours["epoch"].nunique() < 2:
        return None
    variants = [v for v in study.variants if (ours["variant"] == v).any()]

    def draw(theme: Theme) -> Figure:
        legend = legend_of_lines(variants, study)
        figure = Figure(figsize=(COLUMN_INCHES, 1.55 * len(names) + legend.inches), layout="constrained")
        for index, name in enumerate(names):
            axes = figure.add_subplot(len(names), 1, index + 1)
            _panel(axes, ours[ours["name"] == name], study.variants, theme)
            axes.set_ylabel(wrapped(name.replace("_", " "), 24, 2))
            axes.set_xlabel("epoch" if index == len(names) - 1 else "")
        add_lines(legend, figure, theme)
        return figure

    shown = listing([name.replace("_", " ") for name in names])
    alt = (
        f"Learning curves of {shown} over epochs for {counted(len(variants), 'variant')} "
        f"({listing([one_line(v) for v in variants])})."
    )
    has_bands = bool(ours.groupby(["variant", "epoch", "name"])["seed"].nunique().gt(1).any())
    legend = f"Lines: means over seeds.{' Bands: one standard deviation.' if has_bands else ''}"
    legend += f" {counted(more, 'further value')} logged, not shown." if more > 0 else ""
    return FigureJob("curves", "Learning curves", alt, draw, legend)


def legend_of_lines(variants: Sequence[str], study: StudyDescription) -> VariantLegend:
    """Of a figure with a line a variant."""
    return VariantLegend.of(variants, study, short=18, abreast=2)


def add_lines(legend: VariantLegend, figure: Figure, theme: Theme) -> None:
    """Draw such a legend."""

    def line(place: int) -> Line2D:
        return Line2D([], [], color=theme.colour(place), linestyle=dash(place))

    legend.add_to(figure, line, length=2.4)


def _is_elsewhere(name: str) -> bool:
    """A schedule is no result, and localisation, measured now and then, has a table of its own."""
    return name == "lr" or name.startswith(PREFIX)


def _panel(axes: Axes, logged: pd.DataFrame, variants: Sequence[str], theme: Theme) -> None:
    for index, variant in enumerate(variants):
        own = logged[logged["variant"] == variant]
        if not len(own):
            continue
        by_epoch = own.groupby("epoch")["value"].agg(["mean", "std"]).sort_index()
        epochs, mean = by_epoch.index.to_numpy(dtype=float), by_epoch["mean"].to_numpy()
        colour = theme.colour(index)
        lone = "o" if len(epochs) == 1 else None
        axes.plot(epochs, mean, color=colour, linestyle=dash(index), linewidth=1.0, marker=lone, markersize=3)
        spread = by_epoch["std"].fillna(0.0).to_numpy()
        if (spread > 0).any():
            axes.fill_between(epochs, mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
    axes.grid()
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.tick_params(axis="both", labelsize=SMALL)


def dash(index: int) -> tuple[float, tuple[float, ...]]:
    """Seven colours times four dashes tell 28 variants apart, and neighbours differ in both."""
    return DASHES[(index // 7 + index % 7) % len(DASHES)]
