"""One setting for all cells: every expected number is written out, none comes from the module."""

from __future__ import annotations

import io
import math

import pandas as pd
import pytest

from cmae_ablate.report.selection import (
    candidate_metrics,
    choose,
    consistent,
    is_candidate,
    key_of,
    own_best,
    settings_of,
    settle,
)

# Two variants, two seeds, three penalties. Alone, the cells would choose 0.1, 0.01, 0.001 and 0.001; on
# average 0.01 validates best (30.25 against 29.75 and 29.5). On test, 0.001 would look best everywhere.
TRIALS = """\
variant,seed,state,probe.top1,probe.validation_top1,probe.top1@l2=0.1,probe.validation_top1@l2=0.1,\
probe.top1@l2=0.01,probe.validation_top1@l2=0.01,probe.top1@l2=0.001,probe.validation_top1@l2=0.001,fingerprint
a,0,COMPLETE,20,33,20,33,21,31,90,29,f0
a,1,COMPLETE,23,32,22,30,23,32,90,27,f1
b,0,COMPLETE,90,31,24,28,25,30,90,31,f2
b,1,COMPLETE,90,31,26,28,27,28,90,31,f3
b,2,FAILED,,,,,,,,,f4
"""


def trials(**changes: object) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(TRIALS)).assign(**changes)


def test_the_best_mean_validation_accuracy_chooses_one_setting_for_all_cells() -> None:
    chosen = choose(trials())
    assert chosen["probe"].settings == {"l2": 0.01}
    assert chosen["probe"].means == (29.75, 30.25, 29.5)
    table = settle(trials(), chosen)
    assert table["probe.top1"].tolist()[:4] == [21, 23, 25, 27]
    assert table["probe.validation_top1"].tolist()[:4] == [31, 32, 30, 28]
    assert table["probe.l2"].tolist()[:4] == [0.01] * 4
    assert table.iloc[4][["probe.top1", "probe.l2"]].isna().all()


def test_test_accuracies_choose_nothing() -> None:
    swapped = trials(**{"probe.top1@l2=0.01": 0.0, "probe.top1@l2=0.1": 100.0})
    assert choose(swapped)["probe"].key == choose(trials())["probe"].key


def test_equal_means_go_to_the_stronger_regularisation_which_stands_first() -> None:
    equal = trials(**{f"probe.validation_top1@l2={value}": 30.0 for value in ("0.1", "0.01", "0.001")})
    assert choose(equal)["probe"].settings == {"l2": 0.1}


def test_incomplete_cells_have_no_say() -> None:
    table = trials()
    table.loc[4, [f"probe.validation_top1@l2={value}" for value in ("0.1", "0.01", "0.001")]] = [0, 0, 99]
    assert choose(table)["probe"].settings == {"l2": 0.01}


def test_a_controls_row_is_read_at_the_setting_of_the_cells() -> None:
    controls = pd.DataFrame(
        {
            "control": ["random init"],
            "probe.top1": [9.0],
            "probe.top1@l2=0.1": [9.0],
            "probe.top1@l2=0.01": [8.0],
            "probe.validation_top1@l2=0.1": [9.0],
            "probe.validation_top1@l2=0.01": [8.5],
        }
    )
    table = settle(controls, choose(trials()))
    assert table.loc[0, ["probe.top1", "probe.validation_top1", "probe.l2"]].tolist() == [8.0, 8.5, 0.01]


def test_a_cell_that_reports_no_candidates_keeps_its_numbers_and_is_named() -> None:
    table = trials()
    table.loc[3, [column for column in table if "@" in column]] = math.nan
    table.loc[3, ["probe.top1", "probe.validation_top1"]] = [55.5, 44.5]
    settled, notes = consistent(table)
    assert settled.loc[3, "probe.top1"] == 55.5
    assert math.isnan(settled.loc[3, "probe.l2"])
    (note,) = [note for note in notes if "no candidates" in note]
    assert note.startswith("probe: 1 complete cell reports no candidates")


def test_a_table_without_any_candidates_stays_as_it_is() -> None:
    plain = trials()[["variant", "seed", "state", "probe.top1", "fingerprint"]]
    settled, notes = consistent(plain)
    pd.testing.assert_frame_equal(settled, plain)
    assert notes == ()


@pytest.mark.parametrize(("best", "side"), [("0.1", "highest"), ("0.001", "lowest")])
def test_the_end_of_a_grid_is_warned_of(best: str, side: str) -> None:
    table = trials(**{f"probe.validation_top1@l2={best}": 60.0})
    _, notes = consistent(settle(table, choose(table)))
    assert notes == (
        f"probe: l2 {best} was chosen, the {side} of 0.001, 0.01, 0.1: the best may lie beyond; "
        "extend evaluations.probe.l2",
    )


def test_zero_is_an_end_beyond_which_nothing_lies() -> None:
    table = trials()
    table.columns = [column.replace("l2=0.001", "l2=0.0") for column in table]
    table["probe.validation_top1@l2=0.0"] = 60.0
    assert consistent(table)[1] == ()


def test_a_setting_inside_its_grid_or_without_alternative_is_not_warned_of() -> None:
    assert consistent(settle(trials(), choose(trials())))[1] == ()
    one = trials()[["variant", "seed", "state", "probe.top1@l2=0.1", "probe.validation_top1@l2=0.1"]]
    assert consistent(one)[1] == ()


def test_of_two_options_each_has_its_own_ends() -> None:
    keys = [f"lr={lr}@weight_decay={decay}" for decay in ("0.1", "0.0") for lr in ("0.001", "0.01", "0.1")]
    columns = {f"probe.validation_top1@{key}": [20.0 + place] for place, key in enumerate(keys)}
    _, notes = consistent(pd.DataFrame({"state": ["COMPLETE"], **columns}))
    assert [note.partition(",")[0] for note in notes] == ["probe: lr 0.1 was chosen"]


def test_a_table_of_one_study_is_read_as_it_stands_even_with_rows_taken_out() -> None:
    whole = settle(trials(), choose(trials()))
    part = whole[whole["variant"] == "b"]
    assert choose(part)["probe"].settings == {"l2": 0.001}
    settled, _ = consistent(part)
    assert settled["probe.top1"].tolist()[:2] == [25, 27]


def test_tables_put_together_are_read_at_one_setting_and_that_is_said() -> None:
    parts = [trials()[lambda table, name=name: table["variant"] == name] for name in ("a", "b")]
    together = pd.concat([settle(part, choose(part)) for part in parts])
    assert together["probe.l2"].dropna().tolist() == [0.1, 0.1, 0.001, 0.001]
    settled, notes = consistent(together)
    assert settled["probe.top1"].tolist()[:4] == [21, 23, 25, 27]
    assert notes == (
        "probe: the cells of this file were read at different settings (l2 0.1; l2 0.001); all are now read "
        "at l2 0.01, the best by mean validation accuracy",
    )


def test_a_cell_alone_is_read_at_its_own_best() -> None:
    row = {name: value for name, value in trials().iloc[0].items() if str(name).startswith("probe")}
    chosen = {**row, "probe.top1": 21.0, "probe.validation_top1": 31.0, "probe.l2": 0.01, "knn.top1": 5.0}
    found = own_best(chosen)
    assert (found["probe.top1"], found["probe.validation_top1"], found["knn.top1"]) == (20, 33, 5.0)
    assert "probe.l2" not in found
    assert own_best({"knn.top1": 5.0}) == {"knn.top1": 5.0}


def test_columns_are_named_after_their_settings_and_read_back() -> None:
    candidates = [
        ({"lr": 1e-3, "weight_decay": 0.1}, {"top1": 1.0, "validation_top1": 2.0}),
        ({"lr": 1e-2, "weight_decay": 0}, {"top1": 3.0, "validation_top1": 4.0}),
    ]
    assert candidate_metrics("probe", candidates) == {
        "probe.top1@lr=0.001@weight_decay=0.1": 1.0,
        "probe.validation_top1@lr=0.001@weight_decay=0.1": 2.0,
        "probe.top1@lr=0.01@weight_decay=0.0": 3.0,
        "probe.validation_top1@lr=0.01@weight_decay=0.0": 4.0,
    }
    assert settings_of(key_of({"l2": 1e-7})) == {"l2": 1e-7}
    assert not is_candidate("probe.top1")
    assert not is_candidate("mail@host")
