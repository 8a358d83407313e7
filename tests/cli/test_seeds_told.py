"""What `status` and `plan` say of contrasts whose seeds are added by a rule."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cmae_ablate.cli.seeds_told import cells_expected, record_of, told_of
from cmae_ablate.report.seed_rule import Looks, SeedRule
from cmae_ablate.report.settling import Settling, Standing
from tests.cli.test_app import call
from tests.tiny import TINY_STUDY

RULE = SeedRule(Looks(3, 1, 10), precision=1.0)
FIVE = tuple(range(5))
DONE = Standing("a", "r", FIVE, "narrow", 0.5, 0.4, 0.93, 0.2, math.nan, 5)
OPEN = Standing("b", "r", FIVE, None, -0.25, 0.8, 1.8, 0.4, math.nan, 8)
NOISY = Standing("c", "r", FIVE, None, 2.0, 3.0, 6.0, 0.4, math.nan, math.inf)
FRESH = Standing("d", "r")
FOUND = Settling((DONE, OPEN, NOISY, FRESH), {"r": 6, "a": 5, "b": 6, "c": 6, "d": 3})


def test_each_contrast_says_how_far_it_is() -> None:
    rule, done, open_, noisy, fresh = told_of(FOUND, RULE)
    assert RULE.words in rule
    assert done.endswith("5 seeds, +0.50 \u00b10.93; settled by the width of the interval")
    assert open_.endswith(
        "5 seeds, -0.25 \u00b11.80; settled after 8 seeds at the latest, if the noise stays as it is"
    )
    assert "10 seeds are too few for the width" in noisy
    assert fresh.endswith("looked at for the first time with 3 seeds")


def test_the_price_is_what_each_variant_needs_for_its_slowest_contrast() -> None:
    # r: 10 for c (and d), a: 5, b: 8, c: 10, d: 10.
    assert cells_expected(FOUND, RULE) == 10 + 5 + 8 + 10 + 10


def test_programs_get_the_same_with_null_where_there_is_no_number() -> None:
    record = record_of(FOUND, RULE)
    assert record["is_over"] is False
    assert [each["settled"] for each in record["contrasts"]] == ["narrow", None, None, None]
    assert [each["expected_seeds"] for each in record["contrasts"]] == [5, 8, None, None]


# MLflow's own dependencies warn about each other.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_plan_says_what_the_first_seeds_cost_and_what_all_may(
    tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_study.write_text(f"{TINY_STUDY}max_seeds: 6\nprecision: 2\n")
    code, out, _ = call(capsys, "plan", tiny_study, "--out", tiny_study.parent / "runs", "--device", "cpu")
    text = " ".join(out.split())
    assert code == 0
    assert "4 cells at first (2 variants x 2 seeds) and 5 of controls" in text
    assert "at most 12 cells (6 seeds)" in text
    assert "until its interval is within \u00b12; at most 6" in text
