"""`search.csv` as a report reads it: what counts as a trial, and what belongs to another search."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.report.searched import SearchedKey, read_search_beside

METRIC = "knn.validation_top1"
RATE = SearchedKey("training.base_lr", 1e-4, 1e-1, log=True)
DEPTH = SearchedKey("decoder.depth", choices=("1", "8"))
HEADER = f"variant,trial,seed,state,training.base_lr,decoder.depth,{METRIC},wins,reason"
GOOD = ("a,0,1000,COMPLETE,0.01,8.0,30.0,False,", "a,0,1001,COMPLETE,0.01,8.0,34.0,False,")


def read(folder: Path, *rows: str, header: str = HEADER):  # type: ignore[no-untyped-def]
    (folder / "search.csv").write_text("\n".join([header, *rows, ""]))
    return read_search_beside(folder / "trials.csv", METRIC, [RATE, DEPTH])


def test_a_trial_is_the_mean_of_its_seeds_at_its_place(tmp_path: Path) -> None:
    found, notes = read(tmp_path, *GOOD)
    assert notes == ()
    (point,) = found.points
    assert (point.variant, point.value) == ("a", 32.0)
    # The second choice, which a column with gaps writes as 8.0; and ln 0.01.
    assert point.places == {"decoder.depth": 1.0, "training.base_lr": pytest.approx(-4.60517, abs=1e-5)}


def test_a_trial_that_lost_a_seed_is_planned_and_no_point(tmp_path: Path) -> None:
    found, _ = read(tmp_path, *GOOD, "a,1,1000,COMPLETE,0.1,1,50.0,True,", "a,1,1001,PRUNED,0.1,1,,True,")
    assert [point.value for point in found.points] == [32.0]
    assert found.planned == {"a": 2}


def test_tunings_of_their_own_for_each_seed_are_told_apart(tmp_path: Path) -> None:
    rows = [f"a,{tuning},0,{1000 + tuning},COMPLETE,0.01,8,{30 + tuning},False," for tuning in (0, 1)]
    found, _ = read(tmp_path, *rows, header=HEADER.replace("trial,", "table_seed,trial,"))
    assert [(point.tuning, point.value) for point in found.points] == [(0, 30.0), (1, 31.0)]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("a,0,1000,COMPLETE,0.2,8,30.0,False,", "'0.2' of line 2"),
        ("a,0,1000,COMPLETE,0.01,4,30.0,False,", "'4' of line 2"),
    ],
)
def test_what_was_not_searched_gives_the_file_away_as_another_searchs(
    tmp_path: Path, row: str, why: str
) -> None:
    found, notes = read(tmp_path, row)
    assert found is None
    assert why in notes[0] and "another search" in notes[0]


def test_a_missing_column_or_file_is_told(tmp_path: Path) -> None:
    found, notes = read_search_beside(tmp_path / "trials.csv", METRIC, [RATE])
    assert found is None and "there is no" in notes[0]
    found, notes = read(tmp_path, header=HEADER.replace("decoder.depth", "other"))
    assert found is None and "no column 'decoder.depth'" in notes[0]


def test_a_value_that_is_no_number_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"search.csv:2: knn.validation_top1 is 'high'"):
        read(tmp_path, "a,0,1000,COMPLETE,0.01,8,high,False,")


def test_each_whole_number_has_a_cell_of_its_own() -> None:
    assert SearchedKey("k", 1, 4, is_whole=True).bounds == (0.5, 4.5)
    assert SearchedKey("k", 1, 4, log=True, is_whole=True).bounds == (math.log(0.5), math.log(4.5))
    assert SearchedKey("k", 1.0, 4.0).bounds == (1.0, 4.0)


def test_one_choice_is_no_tuning() -> None:
    assert not SearchedKey("k", choices=("8", "8.0")).is_tuned
    assert DEPTH.is_tuned and RATE.is_tuned
