"""A study as its report is told of it: which comparisons are its family, and which seeds it planned."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from cmae_ablate.report.frame import PlanStatus, StudyDescription

GRID = {"depth": ("8", "1"), "crop": ("plain", "box"), "seedless": ("only",)}


def one_factor(**changes: Any) -> StudyDescription:
    fields: dict[str, Any] = {
        "name": "s",
        "question": "?",
        "scale": "cpu",
        "reference": "a",
        "metric": "knn.top1",
    }
    fields |= {"variants": ("a", "b", "c"), "factors": {"f": ("a", "b", "c")}, "seeds": 5}
    fields |= {"levels": {label: {"f": label} for label in "abc"}}
    return StudyDescription(**{**fields, **changes})


def grid(**changes: Any) -> StudyDescription:
    levels = {
        f"{depth} + {crop}": {"depth": depth, "crop": crop, "seedless": "only"}
        for depth, crop in product(GRID["depth"], GRID["crop"])
    }
    fields: dict[str, Any] = {"variants": tuple(levels), "levels": levels, "factors": GRID}
    return one_factor(reference="8 + plain", **{**fields, **changes})


def test_without_contrasts_the_family_is_every_variant_against_the_reference() -> None:
    assert one_factor().family == (("b", "a"), ("c", "a"))
    assert not one_factor().tests_terms


def test_declared_contrasts_are_the_family() -> None:
    study = one_factor(contrasts=(("c", "b"),))
    assert (study.family, study.added_contrasts) == ((("c", "b"),), ())


def test_contrasts_that_the_recorded_plan_lacks_are_added_and_no_part_of_the_family() -> None:
    study = one_factor(contrasts=(("c", "b"), ("b", "a")), planned_family=(("b", "a"),))
    assert (study.family, study.added_contrasts) == ((("b", "a"),), (("c", "b"),))


def test_a_full_grid_tests_its_terms_unless_contrasts_are_declared() -> None:
    # One level is no factor to cross.
    assert grid().crossed_factors == ("depth", "crop")
    assert (grid().is_grid, grid().tests_terms, grid().family) == (True, True, ())
    declared = grid(contrasts=(("1 + box", "8 + plain"),))
    assert (declared.is_grid, declared.tests_terms) == (True, False)


def test_a_grid_with_a_combination_missing_is_none() -> None:
    assert not grid(variants=grid().variants[:3]).is_grid
    assert not one_factor().is_grid


@pytest.mark.parametrize(("asked", "expected"), [(None, range(5)), (3, range(3)), (9, range(5))])
def test_seeds_beyond_those_asked_for_are_not_missed(asked: int | None, expected: range) -> None:
    assert one_factor(asked=asked).expected_seeds == expected


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ("2026-11-26T07:00:59+00:00", "2026-11-26 07:00 UTC"),
        ("2026-11-26T00:30:00+02:00", "2026-11-25 22:30 UTC"),
        ("yesterday", "yesterday"),
    ],
)
def test_the_time_of_the_plan_is_told_to_the_minute_in_utc(recorded: str, said: str) -> None:
    assert PlanStatus(recorded).when == said
