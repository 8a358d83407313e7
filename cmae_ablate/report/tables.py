"""The study's table, once with every digit and once as a reader sees it; CSV, Markdown and LaTeX of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cmae_ablate.report.cells import Cells
from cmae_ablate.report.columns import ColumnGroup
from cmae_ablate.report.costs import costs_of, known_costs
from cmae_ablate.report.effects import DECLARED, EXPLORATORY, REFERENCE, Comparison, Effect
from cmae_ablate.report.frame import PlanStatus
from cmae_ablate.report.wording import (
    BLANK,
    DAGGER,
    PLUS_MINUS,
    Metric,
    counted,
    one_line,
    p_value,
    significant,
)

VARIANT, CONTROL = "variant", "control"


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
    """A line of the table; `effect` is None for controls."""

    kind: str
    label: str
    effect: Effect | None
    levels: dict[str, Level]
    further: dict[str, Effect]
    costs: dict[str, float]


@dataclass(frozen=True)
class Table:
    """Rows in order: variants, then controls.

    Attributes:
        header: Column titles of `lines`.
        lines: The rounded cells, (rows, columns).
        full: The same numbers unrounded, `NaN` where there is none.
        controls: How many of the last rows are controls.
        title: What the table is about, one sentence or two.
        note: What else the reader of any rendering must know.
        groups: The columns after the first, which stand together where there is room.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    full: pd.DataFrame
    controls: int
    title: str
    note: str
    groups: tuple[ColumnGroup, ...]

    @property
    def caption(self) -> str:
        """Title and note."""
        return f"{self.title} {self.note}"


def make_table(
    main: Comparison,
    further: Sequence[Comparison],
    cells: Cells,
    controls: pd.DataFrame | None,
    resolution: str = "",
) -> Table:
    """Lay out the variants in table order and, below them, the controls; `resolution` ends the caption."""
    comparisons = (main, *further)
    metrics = tuple(c.metric for c in comparisons)
    rows = [_variant_row(effect, comparisons, cells) for effect in main.effects]
    control_rows = _control_rows(controls, metrics)
    costs = [
        c
        for c in known_costs(cells)
        if any(not math.isnan(row.costs.get(c.column, math.nan)) for row in rows)
    ]
    adjusted = any(e.family == DECLARED for e in main.effects)
    by_images = any(e.two_way for e in main.effects)
    header = (
        *("variant", "n", metrics[0].label, "difference [95 % CI]", *(["p (Holm)"] if adjusted else [])),
        *(["over seeds and images [95 % CI]"] if by_images else []),
        *(metric.label for metric in metrics[1:]),
        *(cost.header for cost in costs),
    )
    lines = []
    for row in [*rows, *control_rows]:
        first, *rest = (row.levels[m.name].text(m) if m.name in row.levels else BLANK for m in metrics)
        money = [significant(row.costs.get(c.column, math.nan) / c.scale) for c in costs]
        p = [p_value(row.effect.p_holm) if row.effect and not row.effect.paired.noiseless else BLANK]
        size = row.levels[metrics[0].name].n if metrics[0].name in row.levels else 0
        lines.append(
            (
                one_line(row.label),
                f"{size}",
                first,
                difference(row.effect, metrics[0]),
                *(p if adjusted else []),
                *([_by_images(row.effect, metrics[0])] if by_images else []),
                *rest,
                *money,
            )
        )
    full = pd.DataFrame([_full(row, metrics, [c.column for c in costs]) for row in [*rows, *control_rows]])
    groups = (
        ColumnGroup("", len(header) - len(metrics) - len(costs)),
        ColumnGroup("further metrics", len(metrics) - 1),
        ColumnGroup("cost", len(costs), apart=True),
    )
    return Table(
        header,
        tuple(lines),
        full,
        len(control_rows),
        title(main),
        note(main, resolution, costs=bool(costs)),
        tuple(group for group in groups if group.size),
    )


def _variant_row(effect: Effect, comparisons: Sequence[Comparison], cells: Cells) -> Row:
    by_metric = {
        c.metric.name: next(e for e in c.effects if e.variant == effect.variant) for c in comparisons
    }
    levels = {name: Level(e.paired.mean, e.paired.std, e.paired.n) for name, e in by_metric.items()}
    return Row(VARIANT, effect.variant, effect, levels, by_metric, costs_of(cells, effect.variant))


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
        interval = "(alike in every seed)"
    else:
        interval = metric.interval(result.ci_low, result.ci_high) or "(one seed)"
    marks = ("*" if effect.planned else "") + (DAGGER if effect.family != DECLARED else "")
    return f"{metric.signed(result.delta)} {interval}{marks}"


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
        "n": main.n,
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


CAUTIOUS_SEEDS = 3
CAUTIOUS = (
    "The interval over seeds and images is cautious with three seeds: in simulations it holds the true "
    "difference in 95 to 98 % of studies (with five seeds in 95 to 97 %)"
)
"""From `analysis/simulation/two_way_rules.csv`; a test holds the two together."""


def title(comparison: Comparison) -> str:
    """The question, and what differences are taken from."""
    study = comparison.description
    return _sentences(
        one_line(study.question),
        f"Differences are from \u2018{one_line(study.reference)}\u2019, paired by seed",
    )


def note(comparison: Comparison, resolution: str = "", *, costs: bool) -> str:
    """Protocol, seeds, interval, correction, plan and marks, in sentences."""
    study = comparison.description
    added = "; * includes seeds added later" if any(e.planned for e in comparison.effects) else ""
    sentences = [
        f"Mean {PLUS_MINUS} standard deviation over n seeds; two-sided 95 % t intervals.",
        family_sentence(comparison),
        *(one_line(study.protocols[m]) for m in (study.metric, *study.report) if m in study.protocols),
        f"Scale: {study.scale}; {counted(study.seeds, 'planned seed')}{added}.",
        plan_sentence(study.plan),
        *(one_line(note) for note in study.notes),
        _images_sentence(comparison),
        resolution,
    ]
    if costs:
        sentences.append("Parameters in millions; FLOPs per pretraining image; seconds of pretraining.")
    return _sentences(*sentences)


def _sentences(*sentences: str) -> str:
    return " ".join(s if s.endswith((".", "?", "!")) else f"{s}." for s in sentences if s)


def _images_sentence(comparison: Comparison) -> str:
    """How far the interval over seeds and images can be relied on, where it is shown."""
    few = any(e.two_way and e.paired.n == CAUTIOUS_SEEDS for e in comparison.effects)
    return CAUTIOUS if few else ""


def family_sentence(comparison: Comparison) -> str:
    """Which tests Holm's correction covers, and what is exploratory."""
    study = comparison.description
    if study.tests_terms:
        covered = "the grid's main effects and two-way interactions"
    elif study.family == study.against_reference:
        covered = "every variant in the table"
    else:
        covered = "the declared contrasts"
    exploratory = any(e.family == EXPLORATORY for e in comparison.effects)
    return f"Holm's correction covers {covered}{f'; {DAGGER} exploratory' if exploratory else ''}."


def plan_sentence(plan: PlanStatus | None) -> str:
    """Since when the analysis is declared, and what is otherwise by now."""
    if plan is None:
        return "Nothing is known of an analysis plan."
    changes = "; ".join(one_line(change) for change in plan.changes)
    return f"Analysis plan of {plan.when}{f', changed since: {changes}' if changes else ', unchanged'}."


def markdown(table: Table) -> str:
    """The rounded table and its caption; pipes and backslashes in labels are escaped."""
    lines = [[_markdown_text(cell) for cell in line] for line in table.lines]
    frame = pd.DataFrame(lines, columns=[_markdown_text(title) for title in table.header])
    align = ("left", *("right" for _ in table.header[1:]))
    body = frame.to_markdown(index=False, colalign=align, disable_numparse=True)
    return f"{body}\n\n{_markdown_text(table.caption)}\n"


def _markdown_text(text: str) -> str:
    for character in "\\|*_`<[":
        text = text.replace(character, f"\\{character}") if character != "<" else text.replace("<", "&lt;")
    return text
