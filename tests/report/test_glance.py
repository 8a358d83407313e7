"""The answer at a glance, against arithmetic written out."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from cmae_ablate.report import ReportExtras
from cmae_ablate.report.factorial import Term
from cmae_ablate.report.findings import find
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.glance import Glance, glance
from cmae_ablate.report.verdict import term_open_among
from tests.report.conftest import build_study

VALUES = {"depth 4": [34.0, 35.0, 36.0], "depth 2": [33.0, 34.2, 35.1], "linear": [20.0, 21.4, 22.1]}


def seen(study: StudyDescription, trials: pd.DataFrame) -> Glance:
    found = find(study, trials, None, ReportExtras())
    return glance(found.answer, found.comparison, found.cells)


def test_each_declared_comparison_has_one_row_with_difference_interval_and_relative_cost() -> None:
    found = seen(*build_study(VALUES))
    assert found.header == ("compared", "verdict", "difference (points)", "95 % CI", "time", "FLOPs")
    # -1, -0.8, -0.9: mean -0.9, standard deviation 0.1; t(2, 97.5 %) = 4.303, times 0.1 / sqrt(3) = 0.248.
    # Seconds 230 to 232 against 200 to 202, FLOPs 6 against 5.
    row = ("depth 2", "lower", "\u22120.90", "[\u22121.15, \u22120.65]", "1.1\u00d7", "1.2\u00d7")
    assert found.lines[0] == row
    assert [line[0] for line in found.lines] == ["depth 2", "linear"]


def test_the_caption_says_what_the_reference_reads() -> None:
    assert "the reference \u2018depth 4\u2019 reads 35.00 \u00b1 1.00." in seen(*build_study(VALUES)).caption


def test_a_pair_without_the_reference_names_both() -> None:
    found = seen(*build_study(VALUES, contrasts=(("linear", "depth 2"),)))
    assert [line[0] for line in found.lines] == ["linear against depth 2"]


def test_an_interval_of_no_width_is_not_shown() -> None:
    found = seen(*build_study({"MAE": [34.0, 35.0, 36.0], "CMAE": [35.0, 36.0, 37.0]}))
    assert found.lines[0][2:4] == ("+1.00", "\u2013")


def test_an_interval_without_zero_that_decides_nothing_says_that_it_is_one_of_many() -> None:
    # -1, -1.5, -0.7: mean -1.067, deviation 0.404, t = 4.57 (2 degrees of freedom), p = .045 alone and
    # .089 as the smaller of two. 0.5, -0.5, 0.3: nothing either way.
    two = {"a": [34.0, 35.0, 36.0], "b": [33.0, 33.5, 35.3], "c": [34.5, 34.5, 36.3]}
    found = seen(*build_study(two))
    assert [line[1] for line in found.lines] == ["inconclusive among 2", "inconclusive"]
    assert found.lines[0][3].startswith("[\u22122.0")
    assert "Inconclusive among 2: below 5 % by itself" in found.caption
    assert "Inconclusive among" not in seen(*build_study(VALUES)).caption


def test_costs_that_nobody_knows_have_no_column() -> None:
    study, trials = build_study(VALUES)
    found = seen(study, trials.drop(columns=["seconds.pretrain", "flops.pretrain_image"]))
    assert found.header[-1] == "95 % CI"


def test_a_grid_is_seen_by_its_terms() -> None:
    factors = {"crop": ("random_resized", "contrastive"), "objective": ("none", "moco_v3")}
    levels = {" + ".join(c): dict(zip(factors, c, strict=True)) for c in itertools.product(*factors.values())}
    rng = np.random.default_rng(1)
    study, trials = build_study(
        {v: list(rng.normal(34, 1, 3)) for v in levels}, factors=factors, levels=levels
    )
    assert [line[0] for line in seen(study, trials).lines] == ["crop", "objective", "crop \u00d7 objective"]


def test_the_caption_names_intervals_and_costs_where_there_are_any() -> None:
    assert (
        "Differences in points with 95 % t intervals, paired by seed, 3 seeds."
        in seen(*build_study(VALUES)).caption
    )
    study, trials = build_study({"MAE": [34.0], "CMAE": [35.0]})
    found = seen(study, trials.drop(columns="flops.pretrain_image"))
    assert "Differences in points, paired by seed, 1 seed. Time of pretraining, relative" in found.caption


def grid_with_three_levels(step: float, interaction: float) -> Glance:
    """Two factors, the first with three levels `step` apart; the last of them gains more with the box."""
    factors = {"decoder": ("deep", "flat", "linear"), "crop": ("plain", "box")}
    noise = iter([0.1, -0.2, 0.15, -0.05, 0.2, -0.1, 0.05, -0.15, 0.12, -0.18, 0.02, 0.16] * 2)
    levels, values = {}, {}
    for chosen in itertools.product(*factors.values()):
        label = " + ".join(chosen)
        levels[label] = dict(zip(factors, chosen, strict=True))
        gain = step * factors["decoder"].index(chosen[0]) + interaction * (chosen == ("linear", "box"))
        values[label] = [seed + 30 + gain + next(noise) for seed in range(4)]
    return seen(*build_study(values, factors=factors, levels=levels))


def test_a_factor_whose_levels_differ_is_not_called_inconclusive_on_the_first_screen() -> None:
    verdicts = {line[0]: line[1] for line in grid_with_three_levels(2.0, 3.0).lines}
    # The levels are 2 points apart, with noise of about 0.15.
    assert verdicts["decoder"] == "levels differ"
    assert verdicts["decoder \u00d7 crop"] == "they interact"
    assert verdicts["decoder: linear"] == "higher"
    verdicts = {line[0]: line[1] for line in grid_with_three_levels(0.0, 0.0).lines}
    assert verdicts["decoder"] == verdicts["decoder \u00d7 crop"] == "inconclusive"


def test_a_term_below_five_percent_by_itself_alone_is_open_among_its_family() -> None:
    terms = [
        Term("crop", ("crop",), "main effect", ("box",), ("plain",), 0.36, 0.03, 0.68, 0.03, 0.09, n=4),
        Term("decoder", ("decoder",), "main effect", p=0.2, p_holm=0.2, n=4),
        Term("crop \u00d7 decoder", ("crop", "decoder"), "interaction", p=0.04, p_holm=0.09, n=4),
        Term("decoder: flat", ("decoder",), "level", ("flat",), ("deep",), 1.0, p=0.01, p_holm=0.2, n=4),
    ]
    assert [term_open_among(term, terms, True) for term in terms] == [3, 0, 3, 0]  # a level is no term
    assert [term_open_among(term, terms, False) for term in terms] == [0, 0, 0, 0]


def test_no_time_is_shown_beside_what_was_trained_elsewhere_and_that_is_said() -> None:
    imported = {("linear", seed): "1" for seed in range(3)}
    found = seen(*build_study(VALUES, imported=imported))
    assert [line[-2:] for line in found.lines] == [("1.1\u00d7", "1.2\u00d7"), ("\u2013", "1.4\u00d7")]
    said = "No time is compared where one side was trained elsewhere or on another device."
    assert found.caption.endswith(said)
    none = seen(*build_study(VALUES, imported={("depth 4", s): "1" for s in range(3)}))
    assert none.header[-2:] == ("95 % CI", "FLOPs")
    assert none.caption.endswith(said)
    assert said not in seen(*build_study(VALUES)).caption
