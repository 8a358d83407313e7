"""The answer at a glance: one row a declared comparison, with its difference, interval and cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmae_ablate.report.answer import Answer
from cmae_ablate.report.answer_record import Judged
from cmae_ablate.report.cells import Cells, cost_ratio
from cmae_ablate.report.effects import DECLARED, Comparison
from cmae_ablate.report.verdict import Verdict
from cmae_ablate.report.wording import BLANK, PLUS_MINUS, Metric, one_line, ratio, seeds_phrase

COSTS = (("seconds.pretrain", "time"), ("flops.pretrain_image", "FLOPs"))


@dataclass(frozen=True)
class Glance:
    """What the first screen of a page says beside the verdict.

    Attributes:
        header: Column titles.
        lines: One a comparison.
        caption: What the numbers are, and what they are taken from.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    caption: str


def glance(answer: Answer, comparison: Comparison, cells: Cells) -> Glance:
    """The declared comparisons in table order, of a grid its terms; all where none is declared."""
    metric, reference = comparison.metric, comparison.reference
    judged = [j for j in answer.judged if j.family == DECLARED] or list(answer.judged)
    known = [cost for cost in COSTS if any(_cost(j, cost[0], cells) != BLANK for j in judged)]
    header = ("compared", "verdict", f"difference{_unit(metric)}", "95 % CI", *(title for _, title in known))
    lines = tuple(
        (
            _name(each, comparison),
            _verdict(each, comparison),
            metric.signed(each.delta),
            _interval(each, metric),
            *(_cost(each, column, cells) for column, _ in known),
        )
        for each in judged
    )
    spread = "" if math.isnan(reference.paired.std) else f" {PLUS_MINUS} {metric.text(reference.paired.std)}"
    reads = f"{metric.text(reference.paired.mean)}{spread}"
    sentences = [
        f"{metric.label}; the reference \u2018{one_line(reference.variant)}\u2019 reads {reads}.",
        f"Paired by seed, {seeds_phrase([each.n for each in judged])}.",
        *(["Time and FLOPs of pretraining, relative to what is compared with."] if known else []),
    ]
    return Glance(header, lines, " ".join(sentences))


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
    return str(each.verdict)


def _cost(each: Judged, column: str, cells: Cells) -> str:
    """Relative to what it is compared with; terms of a grid have none."""
    if not {each.variant, each.against} <= set(cells.description.variants):
        return BLANK
    times = cost_ratio(cells, column, each.variant, each.against)
    return BLANK if math.isnan(times) else ratio(times)
