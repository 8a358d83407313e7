"""What the committed simulation says of families whose contrasts correlate; it counts what reports say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.simulation.family_coverage import (
    ERROR,
    FEW,
    FIRST,
    MOST,
    RESULTS,
    chain,
    draw,
    limit,
    limits,
    looked_at,
    shared,
    size_of,
    squared_correlation,
)
from cmae_ablate.report.seed_rule import Looks
from cmae_ablate.report.sequential import half_width, repeated
from cmae_ablate.report.shared_error import correlation, share_of

TABLE = pd.read_csv(RESULTS)
STUDIES = TABLE[TABLE["limit"] == "studies"]


def of(rule: str, contrasts: int, reference: float) -> pd.Series[float]:
    rows = TABLE[
        (TABLE["limit"] == rule)
        & (TABLE["contrasts"] == contrasts)
        & (TABLE["reference"] == reference)
        & (TABLE["design"] == "shared")
        & (TABLE["most"] == MOST)
    ]
    assert len(rows) == 3
    return rows["all looks"]


def test_each_contrasts_own_interval_is_nominal_in_every_family() -> None:
    own = TABLE[TABLE["limit"] == "one"]
    assert len(own) == 52
    assert (own["all looks"] - 0.95).abs().max() <= 1.5 * ERROR


def test_the_intervals_of_families_hold_as_often_as_they_say_whatever_their_correlation() -> None:
    assert len(STUDIES) == 52
    assert (STUDIES["all looks"] - 0.95).abs().max() <= 1.5 * ERROR
    assert set(STUDIES["design"]) == {"shared", "one loud", "chain"}
    assert set(STUDIES["most"]) == {*FEW, MOST}


def test_tests_err_no_more_often_than_they_say() -> None:
    assert STUDIES["error"].max() <= 0.05 + 1.5 * ERROR
    assert STUDIES["error of two"].max() <= 0.05 + 1.5 * ERROR


def test_bonferronis_share_is_too_cautious_where_the_reference_is_noisy() -> None:
    assert of("bonferroni", 9, 1.0).min() > 0.955
    assert of("bonferroni", 9, 2.0).min() > 0.95 + 2 * ERROR


def test_a_joint_limit_is_exact_for_equal_noise_and_holds_too_seldom_where_the_reference_is_quieter() -> None:
    assert (of("joint", 9, 1.0) - 0.95).abs().max() <= 0.5 * ERROR
    for reference in (0.0, 0.5):
        assert of("joint", 9, reference).max() < 0.945


def test_intervals_are_narrower_than_bonferronis_most_where_contrasts_correlate_most() -> None:
    widths = STUDIES[(STUDIES["design"] == "shared") & (STUDIES["most"] == MOST)]
    means = widths[widths["contrasts"] == 9].groupby("reference")["width"].mean()
    assert means.is_monotonic_decreasing
    assert means[0.0] > 0.99
    assert means[2.0] < 0.94


@pytest.mark.parametrize("block", [2, 5])
@pytest.mark.parametrize("mix", [shared(3, 2.0), chain(3)], ids=["shared", "chain"])
def test_a_study_misses_here_where_its_reports_intervals_do(block: int, mix: np.ndarray) -> None:
    looks, studies = Looks(FIRST, block, MOST), 30
    allowed, own = limits(looks, mix)["studies"], limit(looks, 0.05)
    differences = draw(np.random.default_rng(7), studies, mix, looks)
    for n, t in looked_at(differences, looks):
        squared = squared_correlation(differences[:, :n])
        size, reach = size_of(t, n, looks), allowed(squared)
        for study, given in enumerate(differences):
            family = pd.DataFrame(given)
            assert correlation(family[:n]) == pytest.approx(min(np.sqrt(squared[study]), 0.95), abs=1e-6)
            level = share_of(family, n - 1, "correlation").level
            assert reach[study] == pytest.approx(limit(looks, level), abs=1e-3)
            for one in range(3):
                found = repeated(given[:n, one] + 40, np.full(n, 40.0), looks)
                alone = not found.ci_low <= 0 <= found.ci_high
                together = abs(found.delta) > half_width(looks, n, found.noise, level)
                assert (size[study, one] > own) == alone
                assert (size[study, one] > reach[study]) == together
