"""Seconds and memory compare between cells of one machine, and between no others."""

from __future__ import annotations

import pandas as pd
import pytest

from cmae_ablate.report.conditions import Conditions, machine_notes

ROWS = pd.DataFrame({"variant": ["MAE"] * 3 + ["CMAE"] * 3, "seed": [0, 1, 2] * 2})


@pytest.mark.parametrize(
    ("files", "devices", "alike"),
    [
        (None, None, True),
        (None, "gggggg", True),
        (None, "gggccc", False),
        (None, "ggcggc", True),  # in every seed the same
        (None, "ggcgcg", False),
        ("1-----", None, False),
        ("1--1--", None, True),
        ("1---1-", None, False),
        ("111---", "gggggg", False),  # as good a device, elsewhere
        ("111111", "gggggg", True),
        ("111111", "gggccc", False),
        ("123123", "gggggg", True),  # every seed on a machine of its own
        ("111222", "gggggg", False),
    ],
)
def test_machine_costs_compare_where_all_is_of_one_machine_or_alike_in_every_seed(
    files: str | None, devices: str | None, alike: bool
) -> None:
    rows = ROWS if devices is None else ROWS.assign(device=list(devices))
    if files is not None:
        rows = rows.assign(imported=[None if file == "-" else file for file in files])
    assert Conditions.of(rows).alike("MAE", "CMAE") is alike


def test_a_device_that_nobody_wrote_down_is_another_than_one_that_is_known() -> None:
    rows = ROWS.assign(device=["cpu"] * 3 + [" ", None, ""])
    found = Conditions.of(rows)
    assert not found.alike("MAE", "CMAE")
    assert found.one_machine("CMAE")


def test_seeds_of_one_side_alone_do_not_make_machines_of_several() -> None:
    found = Conditions.of(ROWS[ROWS.index != 4].assign(device="cpu"))
    assert found.alike("MAE", "CMAE")
    assert found.alike("MAE", "never trained")


def test_the_pairs_that_machines_part_are_named_with_their_seeds() -> None:
    notes = [*machine_notes(ROWS.assign(hardware=list("gggcgc")), [("CMAE", "MAE")])]
    assert notes == [
        "mixed hardware: g and c; seconds do not compare, and numerics may differ",
        "\u2018CMAE\u2019 against \u2018MAE\u2019: seeds 0, 2 on different hardwares",
    ]
    assert [*machine_notes(ROWS, [("CMAE", "MAE")])] == []


def test_pairs_that_are_parted_in_the_same_seeds_share_a_note() -> None:
    variants = {"MAE": "gg", "two views": "gg", "simclr": "cc", "byol": "cc", "moco_v3": "cg"}
    cells = [(name, seed, machine) for name, both in variants.items() for seed, machine in enumerate(both)]
    pairs = [(name, control) for control in ("MAE", "two views") for name in ("simclr", "byol", "moco_v3")]
    notes = [*machine_notes(pd.DataFrame(cells, columns=["variant", "seed", "hardware"]), pairs)]
    assert notes[1:] == [
        "\u2018simclr\u2019 against \u2018MAE\u2019 and \u2018two views\u2019; "
        "\u2018byol\u2019 against \u2018MAE\u2019 and \u2018two views\u2019: "
        "seeds 0-1 on different hardwares",
        "\u2018moco_v3\u2019 against \u2018MAE\u2019 and \u2018two views\u2019: "
        "seed 0 on different hardwares",
    ]
