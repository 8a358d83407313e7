"""Main effects and interactions against statsmodels on hand-named columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.factorial import analyse
from cmae_ablate.report.frame import StudyDescription

FACTORS = {"the crop's name": ("random_resized", "contrastive"), "C(seed)": ("none", "moco_v3", "simclr")}


def grid(build: Callable, seeds: int = 4) -> tuple[StudyDescription, pd.DataFrame]:
    """Factor names that no formula could hold as they are."""
    rng = np.random.default_rng(8)
    levels = {" + ".join(c): dict(zip(FACTORS, c, strict=True)) for c in itertools.product(*FACTORS.values())}
    values = {label: list(34 + rng.normal(0, 1, seeds)) for label in levels}
    return build(values, factors=FACTORS, levels=levels)


def expected_anova(study: StudyDescription, trials: pd.DataFrame) -> pd.DataFrame:
    data = pd.DataFrame(
        {
            "y": trials["linear_probe.top1"],
            "s": trials["seed"].astype(str),
            "a": [study.levels[v]["the crop's name"] for v in trials["variant"]],
            "b": [study.levels[v]["C(seed)"] for v in trials["variant"]],
        }
    )
    return anova_lm(ols("y ~ s + a + b + a:b", data).fit(), typ=2)


@pytest.mark.parametrize("dropped", [[], [5], [0, 7, 13]])
def test_the_analysis_is_statsmodels_type_two(dropped: list[int], build: Callable) -> None:
    study, trials = grid(build)
    trials = trials.drop(index=dropped)
    result = analyse(sort_out(trials, study))
    assert result is not None
    ours = result.anova.set_index("term")
    expected = expected_anova(study, trials)
    names = {
        "seed": "s",
        "the crop's name": "a",
        "C(seed)": "b",
        "the crop's name \u00d7 C(seed)": "a:b",
        "residual": "Residual",
    }
    for ours_name, theirs in names.items():
        assert ours.loc[ours_name, "sum_sq"] == pytest.approx(expected.loc[theirs, "sum_sq"], rel=1e-9)
        assert ours.loc[ours_name, "df"] == expected.loc[theirs, "df"]
        assert ours.loc[ours_name, "p"] == pytest.approx(
            expected.loc[theirs, "PR(>F)"], rel=1e-9, nan_ok=True
        )


def test_a_combination_without_cells_stops_the_analysis_aloud(build: Callable) -> None:
    study, trials = grid(build)
    result = analyse(sort_out(trials[trials["variant"] != study.variants[2]], study))
    assert result is not None
    assert result.anova.empty
    assert result.notes == ("no analysis of variance: 1 combinations have no complete cell",)


def test_one_seed_leaves_nothing_to_estimate_the_noise_from(build: Callable) -> None:
    result = analyse(sort_out(*reversed(grid(build, seeds=1))))
    assert result is not None
    assert "add seeds" in result.notes[0]


def test_a_one_factor_study_has_no_factorial_analysis(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(3, 3))
    assert analyse(sort_out(trials, study)) is None
