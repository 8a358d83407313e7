"""Paths and Shapley values against brute force, and what stands in their files."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cmae_ablate.report.attribution import along_path, over_orders
from cmae_ablate.report.cells import Cells, sort_out
from tests.report.conftest import build_study

Combination = tuple[int, ...]


def label(combination: Combination) -> str:
    return " + ".join(f"{'abcd'[at]}{level}" for at, level in enumerate(combination))


def cells_of(values: dict[Combination, list[float]], **changes: Any) -> Cells:
    """A study of two-level factors `a`, `b`, ... whose combinations have these values by seed."""
    factors = "abcd"[: len(next(iter(values)))]
    study, trials = build_study(
        {label(combination): own for combination, own in values.items()},
        factors={f: (f"{f}0", f"{f}1") for f in factors},
        levels={label(c): {f: f"{f}{level}" for f, level in zip(factors, c, strict=True)} for c in values},
        **changes,
    )
    for factor in factors:
        trials[factor] = [study.levels[variant][factor] for variant in trials["variant"]]
    return sort_out(trials, study)


def random_grid(factors: int, seeds: int) -> dict[Combination, list[float]]:
    rng = np.random.default_rng(factors * 10 + seeds)
    base = 30 + rng.normal(0, 2, seeds)
    return {
        combination: list(base + rng.normal(0, 3) + rng.normal(0, 0.5, seeds))
        for combination in itertools.product((0, 1), repeat=factors)
    }


@pytest.mark.parametrize("factors", [2, 3, 4])
def test_shapley_values_are_the_mean_step_over_all_orders(factors: int) -> None:
    seeds = 5
    grid = random_grid(factors, seeds)
    found = over_orders(cells_of(grid))
    assert found is not None
    steps: dict[int, list[list[float]]] = {factor: [] for factor in range(factors)}
    for order in itertools.permutations(range(factors)):
        at = [0] * factors
        for factor in order:
            before = grid[tuple(at)]
            at[factor] = 1
            steps[factor].append([a - b for a, b in zip(grid[tuple(at)], before, strict=True)])
    for factor, part in enumerate(found.parts):
        by_seed = np.mean(steps[factor], axis=0)
        assert part.factor == "abcd"[factor]
        assert part.paired.delta == pytest.approx(by_seed.mean(), abs=1e-12)
        interval = stats.t.interval(0.95, seeds - 1, by_seed.mean(), stats.sem(by_seed))
        assert (part.paired.ci_low, part.paired.ci_high) == pytest.approx(interval, abs=1e-9)
        gains = np.mean(steps[factor], axis=1)
        assert (part.lowest, part.highest) == pytest.approx((gains.min(), gains.max()), abs=1e-12)
    assert sum(part.paired.delta for part in found.parts) == pytest.approx(found.whole.delta, abs=1e-12)


def test_shapley_values_of_a_known_game() -> None:
    # The glove game: two owners of a left glove (a, b), one of a right one (c); only a pair is worth
    # anything. Published values: 1/6, 1/6, 4/6.
    worth = {c: 60.0 * ((c[0] or c[1]) and c[2]) for c in itertools.product((0, 1), repeat=3)}
    found = over_orders(cells_of({c: [20 + value, 10 + value] for c, value in worth.items()}))
    assert found is not None
    assert [part.paired.delta for part in found.parts] == pytest.approx([10.0, 10.0, 40.0])
    assert [(part.lowest, part.highest) for part in found.parts] == [(0, 60), (0, 60), (0, 60)]
    assert found.start == 15.0


def test_a_missing_combination_or_a_third_level_leaves_no_shapley_values() -> None:
    grid = random_grid(2, 3)
    assert over_orders(cells_of({c: own for c, own in grid.items() if c != (0, 1)})) is None
    none_complete = {c: {int(c == (0, 1)): 30.0} for c in grid}
    study, trials = build_study({label(c): own for c, own in none_complete.items()})
    assert over_orders(sort_out(trials, study)) is None
    assert over_orders(sort_out(*reversed(build_study({"x": [1.0], "y": [2.0], "z": [3.0]})))) is None


PATH = {(0, 0, 0): [30.0, 32.0, 31.0], (1, 0, 0): [31.0, 34.0, 31.5], (1, 1, 0): [29.0, 30.0, 30.5]}
PATH |= {(1, 1, 1): [35.0, 35.0, 36.5]}


def test_steps_of_a_path_are_paired_with_the_variant_before_and_add_up() -> None:
    found = along_path(cells_of(PATH, path=tuple(map(label, PATH))))
    assert found is not None
    assert [part.factor for part in found.parts] == ["a", "b", "c"]
    assert [(part.variant, part.against) for part in found.parts] == [
        ("a1 + b0 + c0", "a0 + b0 + c0"),
        ("a1 + b1 + c0", "a1 + b0 + c0"),
        ("a1 + b1 + c1", "a1 + b1 + c0"),
    ]
    assert [part.paired.delta for part in found.parts] == pytest.approx([3.5 / 3, -7 / 3, 17 / 3])
    # Differences of the first step 1, 2, 0.5: mean 7/6, sd 0.763763, t(0.975, 2) = 4.302653.
    assert found.parts[0].paired.ci_low == pytest.approx(7 / 6 - 4.302653 * 0.763763 / math.sqrt(3), abs=1e-5)
    assert (found.start, found.whole.delta) == pytest.approx((31.0, 4.5))


def test_the_order_of_a_path_is_the_designs_and_not_the_files() -> None:
    values = {(0, 0): [30.0, 31.0], (0, 1): [32.0, 32.0], (1, 1): [33.0, 35.0]}
    found = along_path(cells_of(values, path=tuple(map(label, values))))
    assert found is not None
    assert [part.factor for part in found.parts] == ["b", "a"]


def test_only_seeds_complete_along_the_whole_path_count() -> None:
    values = {c: list(own) for c, own in PATH.items()}
    values[1, 1, 0][2] = math.nan
    found = along_path(cells_of(values, path=tuple(map(label, values))))
    assert found is not None
    assert {part.paired.n for part in found.parts} == {2}
    assert found.start == 31.0
    nothing = {c: [math.nan] * 3 if c == (1, 1, 0) else own for c, own in PATH.items()}
    assert along_path(cells_of(nothing, path=tuple(map(label, PATH)))) is None


def test_without_a_path_in_the_design_there_is_none() -> None:
    assert along_path(cells_of(PATH)) is None


def test_tables_have_a_row_a_factor_and_one_for_the_whole() -> None:
    path = along_path(cells_of(PATH, path=tuple(map(label, PATH))))
    shapley = over_orders(cells_of(random_grid(2, 3)))
    assert path is not None
    assert shapley is not None
    assert list(path.table["factor"]) == ["a", "b", "c", "all"]
    shared = ["n", "delta", "std", "ci_low", "ci_high", "p"]
    assert list(path.table.columns) == ["factor", "level", "variant", "against", *shared]
    assert list(shapley.table.columns) == ["factor", "level", *shared, "lowest", "highest"]
    for table in (path.table, shapley.table):
        assert table["delta"].iloc[:-1].sum() == pytest.approx(table["delta"].iloc[-1])
