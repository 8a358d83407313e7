"""What a variant costs, beside what it achieves."""

from __future__ import annotations

from dataclasses import dataclass

from cmae_ablate.report.cells import Cells, cost_of


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
