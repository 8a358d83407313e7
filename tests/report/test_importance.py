"""Importance of tuned keys, against functions whose shares of the variance follow by arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.report import ReportExtras, write_report
from cmae_ablate.report.findings import find
from cmae_ablate.report.importance import HEADER, Importance, importance
from cmae_ablate.report.searched import Searched, SearchedKey, TunedPoint
from tests.report.conftest import build_study

STUDY, TRIALS = build_study({"a": [30.0, 31.0], "b": [32.0, 33.0]})
# The middles of 7 equal cells of [0, 1].
SEVEN = (np.arange(7) + 0.5) / 7
RATE, DROP = SearchedKey("rate", 0.0, 1.0), SearchedKey("drop", 0.0, 1.0)


@pytest.fixture(autouse=True)
def few_shuffles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "chance" not in request.node.name:
        monkeypatch.setattr("cmae_ablate.report.importance.SHUFFLES", 1)


def searched(
    keys: Sequence[SearchedKey], value: Callable[..., float], *axes: Sequence[float], variant: str = "a"
) -> Searched:
    """A trial at each combination of places on the axes."""
    names = [key.name for key in keys]
    points = tuple(
        TunedPoint(variant, dict(zip(names, map(float, place), strict=True)), float(value(*place)))
        for place in product(*axes)
    )
    return Searched("knn.validation_top1", tuple(keys), points, {variant: len(points)})


def found(given: Searched) -> Importance:
    result = importance(given, STUDY)
    assert result is not None
    return result


def shares(given: Searched) -> dict[str, float]:
    return found(given).table.set_index("key")["importance"].to_dict()


def test_an_additive_functions_shares_are_those_of_its_parts() -> None:
    # Var(3 x) = 9/12, Var(y) = 1/12 for uniform x and y: 0.9 and 0.1.
    own = shares(searched([RATE, DROP], lambda x, y: 3 * x + y, SEVEN, SEVEN))
    assert own == {"rate": pytest.approx(0.9, abs=0.07), "drop": pytest.approx(0.1, abs=0.07)}


def test_a_logarithmic_range_counts_by_decades() -> None:
    # Three decades; a step at the end of the second: variance 2/3 * 1/3 = 0.2222, beside Var(y) = 1/12:
    # 0.727 and 0.273. Were the range linear, the step at a tenth would have 0.09: 0.52 and 0.48.
    rate = SearchedKey("rate", 1e-4, 1e-1, log=True)
    places = np.log(1e-4) + (np.arange(9) + 0.5) / 9 * np.log(1e3)
    own = shares(searched([rate, DROP], lambda x, y: (x < np.log(1e-2)) + y, places, SEVEN))
    assert own == {"rate": pytest.approx(0.727, abs=0.06), "drop": pytest.approx(0.273, abs=0.06)}


def test_choices_count_alike_and_whole_numbers_too() -> None:
    # Of three choices one is 1 better: 2/9. Of the whole numbers 1 to 4 the last is 1 better: 3/16.
    # Shares 0.5424 and 0.4576.
    kind = SearchedKey("kind", choices=("x", "y", "z"))
    depth = SearchedKey("depth", 1, 4, is_whole=True)
    points = searched([kind, depth], lambda k, d: (k == 2) + (d == 4), range(3), range(1, 5))
    twice = Searched(points.metric, points.keys, points.points * 2, points.planned)
    own = shares(twice)
    assert own == {"kind": pytest.approx(0.542, abs=0.08), "depth": pytest.approx(0.458, abs=0.08)}


def test_what_keys_do_together_belongs_to_neither() -> None:
    own = shares(searched([RATE, DROP], lambda x, y: (x - 0.5) * (y - 0.5), SEVEN, SEVEN))
    assert max(own.values()) < 0.2


def test_a_key_that_does_nothing_is_no_better_than_chance() -> None:
    rng = np.random.default_rng(1)
    result = found(searched([RATE, DROP], lambda x, y: 4 * x + 0.3 * rng.normal(), SEVEN, SEVEN))
    table = result.table.set_index("key")
    assert table.loc["rate", "importance"] > 1.2 * table.loc["rate", "chance"]
    assert table.loc["drop", "importance"] < 1.5 * table.loc["drop", "chance"]
    assert "rate 0." in result.notes[0] and "no share is a cause" in result.notes[0]


def test_tunings_of_their_own_seeds_are_compared_each_with_its_own_mean() -> None:
    five = (np.arange(5) + 0.5) / 5
    tunings = {0: 0.0, 1: 20.0, 2: -15.0}
    points = [
        replace(point, value=point.value + far, tuning=tuning)
        for tuning, far in tunings.items()
        for point in searched([RATE, DROP], lambda x, y: 3 * x + y, five, five).points
    ]
    several = Searched("knn.validation_top1", (RATE, DROP), tuple(points), {"a": len(points)})
    # As in one tuning: 0.9 and 0.1; how far tunings lie apart belongs to no key.
    assert shares(several) == {"rate": pytest.approx(0.9, abs=0.07), "drop": pytest.approx(0.1, abs=0.07)}
    assert "distance from that tuning's mean" in found(several).caption
    one = searched([RATE, DROP], lambda x, y: 3 * x + y, five, five)
    assert "tuning's mean" not in found(one).caption
    flat = [replace(point, value=float(point.tuning)) for point in points]
    assert "all trials have one value" in found(replace(several, points=tuple(flat))).notes[-1]


def test_it_is_the_same_each_time() -> None:
    given = searched([RATE, DROP], lambda x, y: 3 * x + y, SEVEN[::2], SEVEN)
    pd.testing.assert_frame_equal(found(given).table, found(given).table)


def test_too_few_trials_give_a_sentence_and_no_number() -> None:
    result = found(searched([RATE, DROP], lambda x, y: x, SEVEN[:3], SEVEN[:6]))
    assert len(result.table) == 0 and result.lines == ()
    (note,) = result.notes
    assert "fewer than 20 tuning trials came to their end" in note
    assert "18 of \u2018a\u2019 and 0 of \u2018b\u2019" in note


def test_one_key_or_one_value_has_no_share() -> None:
    one = SearchedKey("one", choices=("8",))
    assert importance(searched([RATE, one], lambda x, _: x, SEVEN, [0]), STUDY) is None
    flat = found(searched([RATE, DROP], lambda x, y: 5.0, SEVEN, SEVEN))
    assert any("all trials have one value" in note for note in flat.notes)


def test_trials_that_were_stopped_early_are_told_in_the_caption() -> None:
    given = searched([RATE, DROP], lambda x, y: 3 * x + y, SEVEN[:3], SEVEN)
    assert "left out" not in found(given).caption
    pruned = Searched(given.metric, given.keys, given.points, {"a": 30})
    ended = "end (stopped early, failed or not run)"
    assert f"9 trials that did not come to their {ended} are left out" in found(pruned).caption
    one = Searched(given.metric, given.keys, given.points, {"a": 22})
    assert f" 1 trial that did not come to its {ended} is left out" in found(one).caption


def test_trials_of_a_variant_that_is_not_shown_are_not_told_as_left_out() -> None:
    given = searched([RATE, DROP], lambda x, y: 3 * x + y, SEVEN[:3], SEVEN)
    short = Searched(given.metric, given.keys, given.points, {"a": 21, "b": 30})
    result = found(short)
    assert "0 of \u2018b\u2019" in result.notes[1]
    assert "left out" not in result.caption


def test_more_than_ten_keys_need_more_trials_than_else_count_and_get_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cmae_ablate.report.importance.MOST_TRIALS", 20)
    third = SearchedKey("third", 0.0, 1.0)
    result = found(searched([RATE, DROP, third], lambda x, y, z: x + y + z, SEVEN[:4], SEVEN[:3], SEVEN[:3]))
    assert result.table["trials"].tolist() == [30, 30, 30]
    assert "the first 30 count" in result.caption


def test_a_study_without_a_search_has_none() -> None:
    assert importance(None, STUDY) is None
    assert find(STUDY, TRIALS, None, ReportExtras()).importance is None


def test_page_and_csv_have_it_with_its_caveats(tmp_path: Path) -> None:
    given = searched([RATE, DROP], lambda x, y: 3 * x + y, SEVEN[:3], SEVEN)
    files = write_report(STUDY, TRIALS, None, tmp_path, artifacts=ReportExtras(searched=given))
    table = pd.read_csv(files.paths["importance.csv"])
    assert list(table.columns) == ["variant", "key", "trials", "importance", "chance"]
    assert list(table["key"]) == ["rate", "drop"]
    page = (tmp_path / "index.html").read_text()
    for words in (
        "Importance of tuned keys",
        "importance.csv",
        "within the searched ranges",
        "few trials mean little",
    ):
        assert words in page
    assert all(f'scope="col" role="columnheader">{title}<' in page for title in HEADER)
