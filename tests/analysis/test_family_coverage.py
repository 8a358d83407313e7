"""What the committed simulation says of families that share a reference; it counts what reports say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.simulation.family_coverage import (
    ERROR,
    FIRST,
    MOST,
    RESULTS,
    furthest,
    limit,
)
from cmae_ablate.report.seed_rule import Looks
from cmae_ablate.report.sequential import repeated

TABLE = pd.read_csv(RESULTS)


def of(rule: str, contrasts: int, reference: float) -> pd.Series[float]:
    rows = TABLE[
        (TABLE["limit"] == rule) & (TABLE["contrasts"] == contrasts) & (TABLE["reference"] == reference)
    ]
    assert len(rows) == 3
    return rows["all looks"]


def test_each_contrasts_own_interval_is_nominal_in_every_family() -> None:
    own = TABLE[TABLE["limit"] == "one"]
    assert len(own) == 24
    assert (own["all looks"] - 0.95).abs().max() <= 1.5 * ERROR


def test_families_hold_together_whatever_their_correlation_is() -> None:
    assert TABLE.loc[TABLE["limit"] == "studies", "all looks"].min() >= 0.95 - 0.5 * ERROR


def test_nine_that_share_a_reference_are_cautious_by_less_than_a_percentage_point() -> None:
    assert of("studies", 9, 1.0).between(0.955, 0.96).all()
    assert of("studies", 3, 1.0).between(0.95, 0.9575).all()


def test_a_joint_limit_is_exact_for_equal_noise_and_holds_too_seldom_where_the_reference_is_quieter() -> None:
    assert (of("joint", 9, 1.0) - 0.95).abs().max() <= 0.5 * ERROR
    for reference in (0.0, 0.5):
        assert of("joint", 9, reference).max() < 0.945


@pytest.mark.parametrize("block", [1, 5])
def test_a_study_misses_here_where_its_reports_intervals_do(block: int) -> None:
    looks, studies, contrasts = Looks(FIRST, block, MOST), 60, 3
    found = furthest(np.random.default_rng(7), studies, contrasts, looks, 0.5)
    noise = np.random.default_rng(7).normal(0, 1, (studies, MOST, contrasts + 1))
    missed = 0
    for study in range(studies):
        for one in range(contrasts):
            variant, reference = noise[study, :, one + 1] + 40, 0.5 * noise[study, :, 0] + 40
            at = [repeated(variant[:n], reference[:n], looks) for n in looks.pairs]
            misses = any(not each.ci_low <= 0 <= each.ci_high for each in at)
            assert (found[study, one] > limit(looks, 0.05)) == misses
            missed += misses
    assert missed
