"""Pooled and moderated variances against arithmetic written out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.report.stats import paired
from cmae_ablate.report.variance import PRIOR_DF, Prior, modelled, moderated_prior, pooled_prior

LAYOUT = pd.DataFrame({"a": [30.0, 33.0, 34.0], "b": [31.0, 35.0, 33.0], "c": [33.0, 34.0, 38.0]})


def of(variant: str) -> object:
    return paired(LAYOUT[variant].to_numpy(), LAYOUT["a"].to_numpy())


def test_the_pooled_variance_is_twice_the_mean_square_left_by_seeds_and_variants() -> None:
    grid = LAYOUT.to_numpy()
    total = 0.0
    for i in range(3):
        for j in range(3):
            total += (grid[i, j] - grid[i].mean() - grid[:, j].mean() + grid.mean()) ** 2
    prior = pooled_prior(LAYOUT)
    assert prior is not None
    assert prior.df == 4  # (3 seeds - 1) (3 variants - 1)
    assert prior.variance == pytest.approx(2 * total / 4, rel=1e-12)


def test_a_missing_cell_costs_one_degree_of_freedom() -> None:
    holed = LAYOUT.copy()
    holed.loc[2, "c"] = math.nan
    prior = pooled_prior(holed)
    assert prior is not None
    assert prior.df == 3


def test_two_variants_pooled_are_the_paired_t_test() -> None:
    two = LAYOUT[["a", "b"]]
    own, prior = of("b"), pooled_prior(two)
    assert prior is not None
    found = modelled(own, prior)  # type: ignore[arg-type]
    assert found is not None
    assert (found.p, found.ci_low, found.ci_high) == pytest.approx((own.p, own.ci_low, own.ci_high))  # type: ignore[attr-defined]
    assert found.ratio == pytest.approx(1.0)


def test_no_degrees_of_freedom_no_pooled_variance() -> None:
    assert pooled_prior(LAYOUT.iloc[:1]) is None
    assert pooled_prior(LAYOUT * 0 + 30.0) is None


def test_a_moderated_variance_lies_between_its_own_and_the_studys() -> None:
    # Differences 1, 2, 3: mean 2, variance 1 with 2 degrees of freedom; 2 more of 3: (2*1 + 2*3) / 4 = 2.
    own = paired(np.array([31.0, 33.0, 35.0]), np.array([30.0, 31.0, 32.0]))
    found = modelled(own, Prior("moderated", 3.0, PRIOR_DF, 1))
    assert found is not None
    assert (found.noise**2, found.df, found.ratio) == pytest.approx((2.0, 4, 1 / 3))
    reach = 2.776445 * math.sqrt(2 / 3)  # t, 4 degrees of freedom
    assert (found.ci_low, found.ci_high) == pytest.approx((2 - reach, 2 + reach), abs=1e-5)


def test_the_studys_variance_is_the_mean_over_its_comparisons() -> None:
    none = np.zeros(2)
    three = [paired(np.array([0.0, gap]), none) for gap in (1.0, 2.0, 3.0)]  # variances 1/2, 4/2, 9/2
    prior = moderated_prior(three)
    assert prior is not None
    assert prior.variance == pytest.approx((0.5 + 2.0 + 4.5) / 3)


def test_fewer_than_three_comparisons_moderate_nothing() -> None:
    none = np.zeros(2)
    assert moderated_prior([paired(np.array([0.0, gap]), none) for gap in (1.0, 2.0)]) is None


def test_a_single_pair_has_no_variance_to_model() -> None:
    assert modelled(paired(np.array([1.0]), np.array([0.0])), Prior("pooled", 1.0, 4, 2)) is None
