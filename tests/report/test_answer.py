"""The one sentence, and the phrase for each comparison."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cmae_ablate.report.answer import answer
from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.frame import StudyDescription

METRIC = "linear_probe.top1"


def answer_of(study: StudyDescription, trials: object) -> str:
    cells = sort_out(trials, study)  # type: ignore[arg-type]
    return answer(compare(cells, METRIC), cells)


def shifted(gain: float, noise: float, seeds: int = 4) -> dict[str, list[float]]:
    rng = np.random.default_rng(11)
    base = rng.normal(34, 1, seeds)
    return {"MAE": list(base), "CMAE": list(base + gain + rng.normal(0, noise, seeds))}


def test_a_told_difference_states_direction_size_interval_n_and_cost(build: Callable) -> None:
    sentence = answer_of(*build(shifted(3, 0.2)))
    assert "\u2018CMAE\u2019 has a higher linear probe top-1 than \u2018MAE\u2019: +" in sentence
    assert "95 % CI" in sentence
    assert "n = 4" in sentence
    assert "1.1\u00d7 the pretraining time and 1.2\u00d7 the FLOPs" in sentence


def test_a_lower_value_is_called_lower(build: Callable) -> None:
    assert "has a lower linear probe top-1" in answer_of(*build(shifted(-3, 0.2)))


def test_a_null_result_is_stated_as_one_with_the_seeds_that_would_tell(build: Callable) -> None:
    sentence = answer_of(*build(shifted(0.1, 1.5, seeds=5)))
    assert "is not told apart" in sentence
    assert "n too small to tell: about" in sentence
    assert "not significant" not in sentence


def test_several_null_results_name_the_seeds_that_would_tell(build: Callable, noisy: Callable) -> None:
    values = noisy(1, 3)["depth 8"]
    study, trials = build(
        {"MAE": values, "a": [v + d for v, d in zip(values, (1, -1, 0.2), strict=True)]}
        | {"b": [v + d for v, d in zip(values, (0.5, -0.4, 0.2), strict=True)]}
    )
    comparison = compare(sort_out(trials, study), METRIC)
    needed = sorted(effect.required_pairs for effect in comparison.declared)
    expected = f"about {needed[0]:.0f} to {needed[1]:.0f} would tell a difference of 1.00 points at 80 %"
    assert expected in answer_of(study, trials)


def test_one_seed_is_too_few(build: Callable) -> None:
    assert answer_of(*build({"MAE": [34.0], "CMAE": [36.0]})).startswith("n too small")


def test_identical_numbers_are_called_identical(build: Callable) -> None:
    sentence = answer_of(*build({"MAE": [34.0, 35.0], "again": [34.0, 35.0]}))
    assert "identical linear probe top-1 in all 2 paired seeds: a difference of exactly 0" in sentence


def test_many_variants_are_counted(build: Callable, noisy: Callable) -> None:
    sentence = answer_of(*build(noisy(5, 6)))
    assert "of 4 variants are told apart from \u2018depth 8\u2019" in sentence


def test_exploratory_differences_do_not_reach_the_answer(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(4, 6), contrasts=(("depth 7", "depth 8"),))
    sentence = answer_of(study, trials)
    assert "depth 7" in sentence
    assert "depth 5" not in sentence


@pytest.mark.parametrize(
    ("drop", "told"),
    [("MAE", "the reference \u2018MAE\u2019 has no complete cell"), ("CMAE", "no compared pair")],
)
def test_without_cells_there_is_no_answer_yet(drop: str, told: str, build: Callable) -> None:
    study, trials = build(shifted(1, 1))
    sentence = answer_of(study, trials[trials["variant"] != drop])
    assert sentence.startswith("No answer yet")
    assert told in sentence


def test_the_answer_is_one_sentence(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(6, 3))
    trials.loc[trials["variant"] == "depth 5", METRIC] = math.nan
    sentence = answer_of(study, trials)
    assert sentence.endswith(".")
    assert ". " not in sentence
