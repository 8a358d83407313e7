"""What a variant costs: means over its complete cells, in the units of `trials.csv`."""

from __future__ import annotations

import math
from collections.abc import Callable

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.costs import COSTS, costs_of, known_costs

PAIR = {"MAE": [34.0, 35.0, 36.0], "CMAE": [35.0, 36.5, 36.2]}


def test_a_cost_is_the_median_over_complete_cells(build: Callable) -> None:
    study, trials = build(PAIR)
    trials["seconds.pretrain"] = [10.0, 20.0, 60.0, 1.0, 2.0, 6.0]
    trials.loc[2, "state"] = "FAILED"
    cells = sort_out(trials, study)
    assert costs_of(cells, "MAE")["seconds.pretrain"] == 15.0
    assert costs_of(cells, "CMAE")["seconds.pretrain"] == 2.0


def test_costs_are_in_the_order_of_the_table_and_without_columns_that_nobody_wrote(build: Callable) -> None:
    study, trials = build(PAIR)
    cells = sort_out(trials.drop(columns="flops.pretrain_image"), study)
    columns = ["params.encoder", "params.decoder", "seconds.pretrain"]
    assert list(costs_of(cells, "MAE")) == columns
    assert [cost.column for cost in known_costs(cells)] == columns


def test_a_variant_without_complete_cells_costs_nobody_knows_what(build: Callable) -> None:
    study, trials = build(PAIR)
    trials.loc[trials["variant"] == "CMAE", "state"] = "WAITING"
    assert all(math.isnan(value) for value in costs_of(sort_out(trials, study), "CMAE").values())


def test_scales_are_those_that_the_headers_name() -> None:
    by_header = {cost.header: cost.scale for cost in COSTS}
    assert by_header == {
        "encoder (M)": 1e6,
        "decoder (M)": 1e6,
        "GFLOPs/image": 1e9,
        "seconds": 1.0,
        "memory (MiB)": 1048576,
    }
