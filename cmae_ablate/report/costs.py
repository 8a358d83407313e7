"""What a variant costs, beside what it achieves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmae_ablate.report.cells import Cells, cost_of
from cmae_ablate.report.conditions import MACHINE_COSTS
from cmae_ablate.report.wording import significant

OTHER_MACHINE = "\N{DOUBLE DAGGER}"
OTHER_MACHINE_NOTE = (
    f"{OTHER_MACHINE} trained elsewhere or on another device than the reference: seconds and memory do not "
    "compare with its"
)


@dataclass(frozen=True)
class Cost:
    """A column of `trials.csv` and how it is shown: `value / scale`, under `header`.

    Attributes:
        axis: What an axis of it is called.
        meaning: For a caption; empty where the header says all.
    """

    column: str
    header: str
    axis: str
    scale: float
    meaning: str = ""

    def text(self, value: float, *, is_apart: bool) -> str:
        """Rounded; marked where machines differ in it and it `is_apart`, of another than the reference's."""
        is_marked = is_apart and self.column in MACHINE_COSTS and not math.isnan(value)
        return f"{significant(value / self.scale)}{OTHER_MACHINE if is_marked else ''}"


COSTS = (
    Cost("params.encoder", "encoder (M)", "encoder parameters (M)", 1e6, "parameters in millions"),
    Cost("params.decoder", "decoder (M)", "decoder parameters (M)", 1e6, "parameters in millions"),
    Cost(
        "flops.pretrain_image",
        "GFLOPs/image",
        "GFLOPs per pretraining image",
        1e9,
        "FLOPs per pretraining image",
    ),
    Cost(
        "seconds.pretrain",
        "seconds",
        "pretraining time (s)",
        1.0,
        "seconds of pretraining, the median over seeds",
    ),
    Cost("memory.pretrain", "memory (MiB)", "peak memory of pretraining (MiB)", 2**20, "memory likewise"),
)


def costs_of(cells: Cells, variant: str) -> dict[str, float]:
    """Median cost of the variant's complete cells by column, unscaled; without columns that are not there."""
    return {
        cost.column: cost_of(cells, cost.column, variant)
        for cost in COSTS
        if cost.column in cells.rows.columns
    }


def known_costs(cells: Cells) -> tuple[Cost, ...]:
    """The costs that the trials have a column for."""
    return tuple(cost for cost in COSTS if cost.column in cells.rows.columns)
