"""Learning curves: mean over seeds with a band of one standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.localisation import PREFIX
from cmae_ablate.report.short_labels import ShortLabels
from cmae_ablate.report.theme import COLUMN_INCHES, DASHES, SMALL, FigureJob, Theme, wrapped
from cmae_ablate.report.wording import counted, listing, one_line

MOST_PANELS = 6
SHORT = 18
"""Labels up to this many characters stand two abreast in the legend."""
COLUMNS = ("variant", "seed", "epoch", "name", "value")


@dataclass(frozen=True)
class VariantLegend:
    """The legend below a figure with a line a variant; short labels stand two abreast.

    Attributes:
        labels: Of the variants, in the order of their colours, wrapped.
        columns: How many stand side by side.
        title: Above them, where they are no whole labels.
    """

    labels: tuple[str, ...]
    columns: int
    title: str | None

    @classmethod
    def of(cls, variants: Sequence[str], study: StudyDescription) -> VariantLegend:
        """The legend of these variants of a study."""
        names = ShortLabels.of(study)
        labels = tuple(wrapped(names.in_legend(label), 58, 2) for label in variants)
        return cls(labels, 2 if max(map(len, labels)) <= SHORT else 1, names.legend_title)

    @property
    def inches(self) -> float:
        """The height that it needs."""
        return (
            0.13 * sum(text.count("\n") + 1.1 for text in self.labels) / self.columns
            + 0.3
            + 0.13 * bool(self.title)
        )

    def add_to(self, figure: Figure, theme: Theme) -> None:
        """Draw it below the panels."""
        handles = [
            Line2D([], [], color=theme.colour(i), linestyle=dash(i), label=text)
            for i, text in enumerate(self.labels)
        ]
        figure.legend(
            handles=handles,
            title=self.title,
            alignment="left",
            loc="outside lower left",
            labelspacing=0.35,
            handlelength=2.4,
            ncols=self.columns,
        )


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
    names = names[:MOST_PANELS]
    if not names or ours["epoch"].nunique() < 2:
        return None
    variants = [v for v in study.variants if (ours["variant"] == v).any()]

    def draw(theme: Theme) -> Figure:
        legend = VariantLegend.of(variants, study)
        figure = Figure(figsize=(COLUMN_INCHES, 1.55 * len(names) + legend.inches), layout="constrained")
        for index, name in enumerate(names):
            axes = figure.add_subplot(len(names), 1, index + 1)
            _panel(axes, ours[ours["name"] == name], variants, theme)
            axes.set_ylabel(wrapped(name.replace("_", " "), 24, 2))
            axes.set_xlabel("epoch" if index == len(names) - 1 else "")
        legend.add_to(figure, theme)
        return figure

    shown = listing([name.replace("_", " ") for name in names])
    alt = (
        f"Learning curves of {shown} over epochs for {counted(len(variants), 'variant')} "
        f"({listing([one_line(v) for v in variants])}); lines: means over seeds, bands: one std."
    )
    return FigureJob("curves", "Learning curves", alt, draw)


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
