"""The answer at a glance: one row a declared comparison, with its difference, interval and cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmae_ablate.report.answer import Answer
from cmae_ablate.report.answer_record import Judged
from cmae_ablate.report.cells import SECONDS, Cells, cost_of, cost_ratio
from cmae_ablate.report.effects import DECLARED, Comparison
from cmae_ablate.report.short_labels import ShortLabels, by_against
from cmae_ablate.report.verdict import Verdict
from cmae_ablate.report.wording import BLANK, PLUS_MINUS, Metric, capitalised, one_line, ratio, seeds_phrase

COSTS = (("seconds.pretrain", "time"), ("flops.pretrain_image", "FLOPs"))
NO_TIME = "No time is compared where one side was trained elsewhere or on another device."


@dataclass(frozen=True)
class Group:
    """Rows below what they are compared with; without a heading, each row says so itself."""

    heading: str
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Glance:
    """What the first screen of a page says beside the verdict.

    Attributes:
        header: Column titles.
        groups: One row a comparison.
        caption: What the numbers are, and what they are taken from.
    """

    header: tuple[str, ...]
    groups: tuple[Group, ...]
    caption: str

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """All rows."""
        return tuple(line for group in self.groups for line in group.lines)


def glance(answer: Answer, comparison: Comparison, cells: Cells) -> Glance:
    """The declared comparisons in table order, of a grid its terms; all where none is declared."""
    metric, reference = comparison.metric, comparison.reference
    judged = [j for j in answer.judged if j.family == DECLARED] or list(answer.judged)
    known = [cost for cost in COSTS if any(_cost(j, cost[0], cells) != BLANK for j in judged)]
    header = ("compared", "verdict", f"difference{_unit(metric)}", "95 % CI", *(title for _, title in known))
    names = ShortLabels.of(comparison.description)
    grouped = names.shortens and all(j.against in comparison.description.variants for j in judged)

    def line(each: Judged) -> tuple[str, ...]:
        return (
            names.beside(each.variant, each.against) if grouped else _name(each, comparison),
            _verdict(each, comparison),
            metric.signed(each.delta),
            _interval(each, metric),
            *(_cost(each, column, cells) for column, _ in known),
        )

    groups = (
        tuple(
            Group(against_heading(against), tuple(map(line, of_it))) for against, of_it in by_against(judged)
        )
        if grouped
        else (Group("", tuple(map(line, judged))),)
    )
    spread = "" if math.isnan(reference.paired.std) else f" {PLUS_MINUS} {metric.text(reference.paired.std)}"
    reads = f"{metric.text(reference.paired.mean)}{spread}"
    family = max((each.open_among for each in judged), default=0)
    has_intervals = any(each.ci_low < each.ci_high for each in judged)
    intervals = f" with 95 % {comparison.description.interval}s" if has_intervals else ""
    costs = capitalised(" and ".join(title for _, title in known))
    sentences = [
        f"{metric.label}; the reference \u2018{one_line(reference.variant)}\u2019 reads {reads}.",
        f"Differences{f' in{metric.unit}' if metric.unit else ''}{intervals}, paired by seed, "
        f"{seeds_phrase([each.n for each in judged])}.",
        *(
            [f"Inconclusive among {family}: below 5 % by itself, not once all {family} are allowed for."]
            if family
            else []
        ),
        *([f"{costs} of pretraining, relative to what is compared with."] if known else []),
        *([NO_TIME] if any(_is_apart(each, cells) for each in judged) else []),
    ]
    return Glance(header, groups, " ".join(sentences))


def against_heading(against: str) -> str:
    """Above rows that name what differs from it."""
    return f"against {one_line(against)}, with"


def _interval(each: Judged, metric: Metric) -> str:
    """A dash for one of no width, which would claim what so few seeds cannot show."""
    return metric.interval(each.ci_low, each.ci_high) if each.ci_low < each.ci_high else BLANK


def _unit(metric: Metric) -> str:
    return f" ({metric.unit.strip()})" if metric.unit else ""


def _name(each: Judged, comparison: Comparison) -> str:
    own = one_line(each.variant)
    compares_variants = each.against in comparison.description.variants
    if not compares_variants or each.against == comparison.reference.variant:
        return own
    return f"{own} against {one_line(each.against)}"


def _verdict(each: Judged, comparison: Comparison) -> str:
    margin = comparison.description.equivalence_margin
    if each.verdict is Verdict.EQUAL and margin is not None:
        return f"{each.verdict} within {PLUS_MINUS}{comparison.metric.text(margin)}"
    if each.seen:
        return each.seen
    return f"{each.verdict} among {each.open_among}" if each.open_among else str(each.verdict)


def _is_apart(each: Judged, cells: Cells) -> bool:
    """Whether two variants have times that do not compare."""
    pair = {each.variant, each.against}
    if not pair <= set(cells.description.variants) or cells.conditions.alike(*pair):
        return False
    return not any(math.isnan(cost_of(cells, SECONDS, variant)) for variant in pair)


def _cost(each: Judged, column: str, cells: Cells) -> str:
    """Relative to what it is compared with; terms of a grid have none."""
    if not {each.variant, each.against} <= set(cells.description.variants):
        return BLANK
    times = cost_ratio(cells, column, each.variant, each.against)
    return BLANK if math.isnan(times) else ratio(times)
