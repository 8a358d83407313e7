"""Seconds and memory compare between cells of one machine, and between no others."""

from __future__ import annotations

import pandas as pd
import pytest

from cmae_ablate.report.conditions import Conditions, machine_notes

ROWS = pd.DataFrame({"variant": ["MAE"] * 3 + ["CMAE"] * 3, "seed": [0, 1, 2] * 2})
ALL = {(variant, seed): "a.csv" for variant in ("MAE", "CMAE") for seed in range(3)}
SHARDS = {(variant, seed): f"{seed}.csv" for variant, seed in ALL}
TWO_FILES = {(variant, seed): f"{variant}.csv" for variant, seed in ALL}


@pytest.mark.parametrize(
    ("elsewhere", "devices", "alike"),
    [
        ({}, None, True),
        ({}, "gggggg", True),
        ({}, "gggccc", False),
        ({}, "ggcggc", True),  # in every seed the same
        ({}, "ggcgcg", False),
        ({("MAE", 0): "a.csv"}, None, False),
        ({("MAE", 0): "a.csv", ("CMAE", 0): "a.csv"}, None, True),
        ({("MAE", 0): "a.csv", ("CMAE", 1): "a.csv"}, None, False),
        ({("MAE", seed): "a.csv" for seed in range(3)}, "gggggg", False),  # as good a device, elsewhere
        (ALL, "gggggg", True),
        (ALL, "gggccc", False),
        (SHARDS, "gggggg", True),  # every seed on a machine of its own
        (TWO_FILES, "gggggg", False),
    ],
)
def test_machine_costs_compare_where_all_is_of_one_machine_or_alike_in_every_seed(
    elsewhere: dict[tuple[str, int], str], devices: str | None, alike: bool
) -> None:
    rows = ROWS if devices is None else ROWS.assign(device=list(devices))
    assert Conditions.of(rows, elsewhere).alike("MAE", "CMAE") is alike


def test_a_device_that_nobody_wrote_down_is_another_than_one_that_is_known() -> None:
    rows = ROWS.assign(device=["cpu"] * 3 + [" ", None, ""])
    found = Conditions.of(rows, {})
    assert not found.alike("MAE", "CMAE")
    assert found.one_machine("CMAE")


def test_seeds_of_one_side_alone_do_not_make_machines_of_several() -> None:
    found = Conditions.of(ROWS[ROWS.index != 4].assign(device="cpu"), {})
    assert found.alike("MAE", "CMAE")
    assert found.alike("MAE", "never trained")


def test_the_pairs_that_machines_part_are_named_with_their_seeds() -> None:
    notes = [*machine_notes(ROWS.assign(hardware=list("gggcgc")), [("CMAE", "MAE")])]
    assert notes == [
        "mixed hardware: g and c; seconds do not compare, and numerics may differ",
        "\u2018CMAE\u2019 against \u2018MAE\u2019: seeds 0, 2 on different hardwares",
    ]
    assert [*machine_notes(ROWS, [("CMAE", "MAE")])] == []
