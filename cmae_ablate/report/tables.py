"""The study's table, once with every digit and once as a reader sees it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cmae_ablate.report.caption import caption_note, caption_title
from cmae_ablate.report.cells import Cells
from cmae_ablate.report.columns import ColumnGroup
from cmae_ablate.report.costs import OTHER_MACHINE, OTHER_MACHINE_NOTE, Cost, costs_of, known_costs
from cmae_ablate.report.effects import DECLARED, REFERENCE, Comparison, Effect
from cmae_ablate.report.short_labels import ShortLabels
from cmae_ablate.report.wording import ALIKE, BLANK, DAGGER, PLUS_MINUS, Metric, one_line, p_value

VARIANT, CONTRAST, CONTROL = "variant", "contrast", "control"


@dataclass(frozen=True)
class Level:
    """Mean and standard deviation (n - 1) of a metric over `n` cells."""

    mean: float
    std: float
    n: int

    def text(self, metric: Metric) -> str:
        """`34.11 ± 0.52`, without the second part where n is 1."""
        spread = "" if math.isnan(self.std) else f" {PLUS_MINUS} {metric.text(self.std)}"
        return f"{metric.text(self.mean)}{spread}"


@dataclass(frozen=True)
class Row:
    """A line of the table; `effect` is None for controls, and a contrast has no level of its own.

    `is_apart`: the costs of its machine do not compare with the reference's.
    """

    kind: str
    label: str
    effect: Effect | None
    levels: dict[str, Level]
    further: dict[str, Effect]
    costs: dict[str, float]
    is_apart: bool = False

    def cost(self, cost: Cost) -> str:
        """As a reader sees it."""
        return cost.text(self.costs.get(cost.column, math.nan), is_apart=self.is_apart)


@dataclass(frozen=True)
class Table:
    """Rows in order: variants, contrasts with variants other than the reference, then controls.

    Attributes:
        header: Column titles of `lines`.
        lines: The rounded cells, (rows, columns).
        full: The same numbers unrounded, `NaN` where there is none.
        controls: How many of the last rows are controls.
        title: What the table is about, one sentence or two.
        note: What else the reader of any rendering must know.
        groups: The columns after the first, which stand together where there is room.
        contrasts: How many of the rows are contrasts.
        cost_marks: What the marks behind its costs mean; empty without any.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    full: pd.DataFrame
    controls: int
    title: str
    note: str
    groups: tuple[ColumnGroup, ...]
    contrasts: int = 0
    cost_marks: str = ""

    @property
    def variants(self) -> int:
        """How many of the first rows are variants."""
        return len(self.lines) - self.contrasts - self.controls

    @property
    def caption(self) -> str:
        """Title and note."""
        return f"{self.title} {self.note}"


def make_table(
    main: Comparison,
    further: Sequence[Comparison],
    cells: Cells,
    controls: pd.DataFrame | None,
    worth: str = "",
) -> Table:
    """Lay out the variants in table order and, below them, what else is compared and the controls.

    Contrasts with a variant other than the reference belong to the answer: no rendering may be without them.
    `worth`, what that answer is worth, ends the caption.
    """
    comparisons = (main, *further)
    metrics = tuple(c.metric for c in comparisons)
    rows = [_variant_row(effect, comparisons, cells) for effect in main.effects]
    between = [Row(CONTRAST, f"{e.variant} against {e.against}", e, {}, {}, {}) for e in main.others]
    control_rows = _control_rows(controls, metrics)
    costs = [
        c
        for c in known_costs(cells)
        if any(not math.isnan(row.costs.get(c.column, math.nan)) for row in rows)
    ]
    correction = main.correction if main.declared else ""
    by_images = any(e.two_way for e in main.contrasts)
    names = ShortLabels.of(main.description)
    columns = _Columns(metrics, costs, correction, by_images, names)
    everything = [*rows, *between, *control_rows]
    full = pd.DataFrame([_full(row, metrics, [c.column for c in costs]) for row in everything])
    cost_marks = (
        OTHER_MACHINE_NOTE if any(OTHER_MACHINE in row.cost(c) for row in rows for c in costs) else ""
    )
    groups = (
        ColumnGroup("", len(columns.header) - len(metrics) - len(costs)),
        ColumnGroup("further metrics", len(metrics) - 1),
        ColumnGroup("cost", len(costs), apart=True),
    )
    return Table(
        columns.header,
        tuple(columns.line(row) for row in everything),
        full,
        len(control_rows),
        caption_title(main),
        caption_note(main, worth, costs=[cost.meaning for cost in costs], cost_marks=cost_marks),
        tuple(group for group in groups if group.size),
        len(between),
        cost_marks,
    )


@dataclass(frozen=True)
class _Columns:
    """Which columns a table has, and a row in them as a reader sees it.

    Attributes:
        metrics: The study's metric first.
        costs: Those known of any variant.
        correction: Whose correction the p values of declared contrasts have; empty without any.
        by_images: Whether there are intervals over seeds and images together.
        names: Of the variants.
    """

    metrics: tuple[Metric, ...]
    costs: Sequence[Cost]
    correction: str
    by_images: bool
    names: ShortLabels

    @property
    def header(self) -> tuple[str, ...]:
        return (
            *("variant", "n", self.metrics[0].label, "difference [95 % CI]"),
            *([f"p ({self.correction})"] if self.correction else []),
            *(["over seeds and images [95 % CI]"] if self.by_images else []),
            *(metric.label for metric in self.metrics[1:]),
            *(cost.header for cost in self.costs),
        )

    def line(self, row: Row) -> tuple[str, ...]:
        main, levels, effect = self.metrics[0], row.levels, row.effect
        first, *rest = (levels[m.name].text(m) if m.name in levels else BLANK for m in self.metrics)
        return (
            self._label(row),
            f"{_pairs(row, main)}",
            first,
            difference(effect, main),
            *([_adjusted(effect)] if self.correction else []),
            *([_by_images(effect, main)] if self.by_images else []),
            *rest,
            *(row.cost(cost) for cost in self.costs),
        )

    def _label(self, row: Row) -> str:
        """Short where the variants' own are, so that a contrast can be looked up among the rows above it."""
        if row.kind == VARIANT:
            return self.names.alone(row.label)
        if row.effect is None or not self.names.shortens:
            return one_line(row.label)
        own = self.names.beside(row.effect.variant, row.effect.against)
        return f"against {self.names.alone(row.effect.against)}, with {own}"


def _pairs(row: Row, metric: Metric) -> int:
    """The cells of a level, the pairs of a contrast."""
    if row.kind == CONTRAST and row.effect is not None:
        return row.effect.paired.n
    return row.levels[metric.name].n if metric.name in row.levels else 0


def _variant_row(effect: Effect, comparisons: Sequence[Comparison], cells: Cells) -> Row:
    by_metric = {
        c.metric.name: next(e for e in c.effects if e.variant == effect.variant) for c in comparisons
    }
    levels = {name: Level(e.paired.mean, e.paired.std, e.paired.n) for name, e in by_metric.items()}
    costs = costs_of(cells, effect.variant)
    is_apart = not cells.conditions.alike(effect.variant, cells.description.reference)
    return Row(VARIANT, effect.variant, effect, levels, by_metric, costs, is_apart)


def _control_rows(controls: pd.DataFrame | None, metrics: Sequence[Metric]) -> list[Row]:
    """One row per control, and per variant that it belongs to; mean and std over its seeds."""
    if controls is None or not len(controls):
        return []
    named = controls.assign(variant=controls["variant"] if "variant" in controls.columns else "")
    named["variant"] = named["variant"].fillna("").astype(str)
    rows = []
    for (control, variant), group in named.groupby(["control", "variant"], sort=False):
        levels = {}
        for metric in metrics:
            if metric.name in group.columns:
                known = pd.to_numeric(group[metric.name]).dropna()
                levels[metric.name] = Level(float(known.mean()), float(known.std(ddof=1)), len(known))
        label = f"{control} ({variant})" if variant else str(control)
        rows.append(Row(CONTROL, label, None, levels, {}, {}))
    return rows


def difference(effect: Effect | None, metric: Metric) -> str:
    """Difference and interval, or the word that stands in their place; a dash for controls."""
    if effect is None or effect.family == REFERENCE:
        return BLANK if effect is None else "reference"
    result = effect.paired
    if result.n == 0:
        return "no paired seed"
    if result.noiseless and not effect.identical:
        # An interval of no width would claim what so few images cannot show.
        interval = f"({ALIKE})"
    else:
        none = "(one seed)" if result.n == 1 else "(no interval yet)"
        interval = metric.interval(result.ci_low, result.ci_high) or none
    marks = ("*" if effect.planned else "") + (DAGGER if effect.family != DECLARED else "")
    return f"{metric.signed(result.delta)} {interval}{marks}"


def _adjusted(effect: Effect | None) -> str:
    return p_value(effect.p_holm) if effect and not effect.paired.noiseless else BLANK


def _by_images(effect: Effect | None, metric: Metric) -> str:
    low, high = two_way_interval(effect) if effect else (math.nan, math.nan)
    return (metric.interval(low, high) if low < high else "") or BLANK


def two_way_interval(effect: Effect) -> tuple[float, float]:
    """The interval that seeds and test images give together; NaN where predictions were not kept."""
    return (effect.two_way.ci_low, effect.two_way.ci_high) if effect.two_way else (math.nan, math.nan)


def modelled_interval(effect: Effect) -> tuple[float, float]:
    """The interval by the declared estimate of variance, where that is not the paired one."""
    return (effect.modelled.ci_low, effect.modelled.ci_high) if effect.modelled else (math.nan, math.nan)


def _full(row: Row, metrics: Sequence[Metric], costs: Sequence[str]) -> dict[str, object]:
    main = row.levels.get(metrics[0].name, Level(math.nan, math.nan, 0))
    line: dict[str, object] = {
        "variant": row.label,
        "kind": row.kind,
        "n": _pairs(row, metrics[0]),
        "mean": main.mean,
        "std": main.std,
    }
    effect = row.effect
    line |= {
        "delta": effect.paired.delta if effect else math.nan,
        "ci_low": effect.paired.ci_low if effect else math.nan,
        "ci_high": effect.paired.ci_high if effect else math.nan,
        "p": effect.paired.p if effect else math.nan,
        "p_holm": effect.p_holm if effect else math.nan,
        "dz": effect.paired.dz if effect else math.nan,
    }
    for metric in metrics[1:]:
        level = row.levels.get(metric.name, Level(math.nan, math.nan, 0))
        other = row.further.get(metric.name)
        line |= {
            f"{metric.name}.n": level.n,
            f"{metric.name}.mean": level.mean,
            f"{metric.name}.std": level.std,
            f"{metric.name}.delta": other.paired.delta if other else math.nan,
            f"{metric.name}.ci_low": other.paired.ci_low if other else math.nan,
            f"{metric.name}.ci_high": other.paired.ci_high if other else math.nan,
        }
    return line | {column: row.costs.get(column, math.nan) for column in costs}
