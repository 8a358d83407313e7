"""The answer: verdict first, one line a comparison, and what it is worth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.report import ReportExtras, write_report
from cmae_ablate.report.answer import Answer
from cmae_ablate.report.findings import find
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.tables import make_table
from tests.report.sentences import CASES, findings, grid, grid_study

METRIC = "linear_probe.top1"


def answer_of(study: StudyDescription, trials: pd.DataFrame, controls: pd.DataFrame | None = None) -> Answer:
    return find(study, trials, controls, ReportExtras()).answer


def shifted(gain: float, noise: float, seeds: int = 4) -> dict[str, list[float]]:
    rng = np.random.default_rng(11)
    base = rng.normal(34, 1, seeds)
    return {"MAE": list(base), "CMAE": list(base + gain + rng.normal(0, noise, seeds))}


def positive_control(values: dict[str, list[float]], *below: float) -> pd.DataFrame:
    reference = values["MAE"]
    rows = [
        ("positive control", "", s, v - d) for s, (v, d) in enumerate(zip(reference, below, strict=False))
    ]
    return pd.DataFrame(rows, columns=["control", "variant", "seed", METRIC])


def test_a_detected_difference_states_direction_size_interval_n_and_cost(build: Callable) -> None:
    found = answer_of(*build(shifted(3, 0.2)))
    assert found.headline == "\u2018CMAE\u2019 is higher than \u2018MAE\u2019 (linear probe top-1, 4 seeds)."
    [line] = found.lines
    assert line.startswith("\u2018CMAE\u2019: higher, +")
    for part in ("95 % CI", "n = 4", "Holm p", "1.1\u00d7 the pretraining time and 1.2\u00d7 the FLOPs"):
        assert part in line


def test_a_null_result_is_stated_as_one_with_the_seeds_that_would_detect(build: Callable) -> None:
    found = answer_of(*build(shifted(0.1, 1.5, seeds=5)))
    assert found.headline.startswith(
        "Inconclusive (5 seeds): \u2018CMAE\u2019 does not differ detectably from"
    )
    assert "paired seeds" in found.lines[0]
    assert "would detect 1.00 points with 80 % power" in found.lines[0]


def test_advice_on_seeds_says_what_following_it_on_the_same_data_costs(build: Callable) -> None:
    # Simulated: 3 seeds, then the number named, tested together: 9.8 to 10.5 % false differences.
    found = answer_of(*build(shifted(0.1, 1.5, seeds=5)))
    assert any(
        "about 10 % of studies instead of 5 %" in line and "from seed 5" in line for line in found.worth
    )
    assert not any("instead of 5 %" in line for line in answer_of(*build(shifted(3, 0.2))).worth)


def by_planned_seeds(found: Answer) -> list[str]:
    return [line for line in found.worth if "added later" in line]


def test_a_difference_that_added_seeds_alone_detect_is_told_with_what_the_planned_ones_say(
    build: Callable,
) -> None:
    base = [34.1, 33.4, 35.2, 34.6, 34.9]
    values = {"MAE": base, "CMAE": [b + d for b, d in zip(base, [1.0, 0.2, 0.9, 0.8, 0.7], strict=True)]}
    found = answer_of(*build(values, seeds=3))
    assert "is higher than" in found.headline
    assert by_planned_seeds(found) == [
        "Seeds 3-4 were added later; adding seeds after looking makes p values too small. "
        "By the 3 planned seeds alone: Inconclusive (3 seeds): \u2018CMAE\u2019 does not differ "
        "detectably from \u2018MAE\u2019 in linear probe top-1."
    ]
    assert by_planned_seeds(answer_of(*build(values, seeds=5))) == []


def test_the_planned_seeds_of_a_grid_say_alone_what_its_terms_would(build: Callable) -> None:
    values = {label: [*numbers, numbers[0] + 0.05] for label, numbers in grid(3.0).items()}
    [line] = by_planned_seeds(answer_of(*build(values, seeds=4, **grid_study())))
    alone = answer_of(*build(grid(3.0), **grid_study()))
    assert line.startswith("Seed 4 was added later;")
    assert line.endswith(f"By the 4 planned seeds alone: {alone.headline}")


def test_equality_by_the_planned_seeds_alone_is_tested_as_well(build: Callable) -> None:
    base = [34.1, 33.4, 35.2, 34.6, 34.9]
    values = {"MAE": base, "again": [b + d for b, d in zip(base, [0.1, -0.1, 0.05, 0.0, 0.1], strict=True)]}
    [line] = by_planned_seeds(answer_of(*build(values, seeds=4, equivalence_margin=1.0)))
    assert "By the 4 planned seeds alone: \u2018again\u2019 is equal to \u2018MAE\u2019" in line


def test_equal_numbers_of_other_weights_are_no_identity(build: Callable) -> None:
    study, trials = build({"MAE": [25.0, 100 / 3], "again": [25.0, 100 / 3]})
    found = answer_of(study, trials)
    assert found.headline.startswith("Inconclusive")
    assert "the same number of right answers in every seed, where one image is 8.33 points" in found.lines[0]
    assert found.judged[0].verdict == "inconclusive"
    same = answer_of(study, trials.assign(weights_sha256=[f"w{seed}" for seed in trials["seed"]]))
    assert same.judged[0].verdict == "identical"


def test_a_study_whose_positive_control_is_not_detected_is_insensitive(build: Callable) -> None:
    values = shifted(3, 0.2)
    found = answer_of(*build(values), positive_control(values, 0.3, -0.5, 0.4, -0.2))
    assert found.headline.startswith("Insensitive (4 seeds)")
    assert [each.verdict for each in found.judged] == ["insensitive"]
    assert found.sensitivity.sensitive is False


def test_a_study_that_detects_its_positive_control_is_sensitive(build: Callable) -> None:
    values = shifted(3, 0.2)
    found = answer_of(*build(values), positive_control(values, 5.3, 5.5, 5.4, 5.2))
    assert found.sensitivity.sensitive is True
    assert [each.verdict for each in found.judged] == ["higher"]


def test_exploratory_differences_do_not_reach_the_text(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(4, 6), contrasts=(("depth 7", "depth 8"),))
    found = answer_of(study, trials)
    assert "depth 7" in found.text
    assert "depth 5" not in found.text
    assert {each.variant: each.family for each in found.judged} == {
        "depth 7": "declared",
        "depth 6": "exploratory",
        "depth 5": "exploratory",
    }


@pytest.mark.parametrize(
    ("drop", "said"),
    [("MAE", "the reference \u2018MAE\u2019 has no complete cell"), ("CMAE", "no compared pair")],
)
def test_without_cells_the_answer_is_incomplete(drop: str, said: str, build: Callable) -> None:
    study, trials = build(shifted(1, 1))
    found = answer_of(study, trials[trials["variant"] != drop])
    assert found.headline.startswith("Incomplete: ")
    assert said in found.headline


def test_answer_json_is_strict_and_has_the_contracts_keys(tmp_path: Path, build: Callable) -> None:
    study, trials = build({"MAE": [34.0], "CMAE": [36.0]})
    write_report(study, trials, None, tmp_path)

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    content = json.loads((tmp_path / "answer.json").read_text(), parse_constant=refuse)
    assert {"question", "metric", "sensitive", "text", "verdicts"} <= set(content)
    assert content["sensitive"] is None
    [verdict] = content["verdicts"]
    expected = {"variant": "CMAE", "against": "MAE", "family": "declared", "verdict": "inconclusive"}
    expected |= {"delta": 2.0, "ci_low": None, "ci_high": None, "n": 1, "p_holm": None}
    assert {key: verdict[key] for key in expected} == expected


def test_resolution_is_the_half_width_over_the_gain_of_pretraining(tmp_path: Path) -> None:
    # By hand: differences 0.4, -0.6, 0.9, -0.3; t(0.975, 3) = 3.182446; random init 14.05 below on average.
    found = findings(CASES["inconclusive"], tmp_path).answer
    differences = [0.4, -0.6, 0.9, -0.3]
    mean = sum(differences) / 4
    sd = math.sqrt(sum((d - mean) ** 2 for d in differences) / 3)
    assert found.judged[0].resolution == pytest.approx(3.182446 * sd / 2 / 14.05, rel=1e-5)
    assert "the 95 % interval's half-width is 0.08 of what pretraining brings" in found.text


@pytest.mark.parametrize(("untrained", "where"), [(40.0, "on the wrong side of zero"), (35.0, "zero")])
def test_without_a_gain_of_pretraining_neither_sentence_nor_data_have_a_resolution(
    untrained: float, where: str, build: Callable
) -> None:
    study, trials = build({"MAE": [34.0, 35.0, 36.0], "CMAE": [34.5, 36.0, 35.0]})
    controls = pd.DataFrame(
        {"control": "random init", "variant": "", "seed": [0, 1, 2], METRIC: [untrained] * 3}
    )
    found = answer_of(study, trials, controls)
    assert found.worth[1].startswith("Resolution: none, as there is no gain: ")
    assert found.worth[1].endswith(f" points) is {where}.")
    assert all(math.isnan(each.resolution) for each in found.judged)


def test_equality_comes_with_the_p_that_supports_it(build: Callable) -> None:
    # Differences 0.1, -0.1, 0.05, -0.05: mean 0, error 0.0456; from a margin of 1, t = 21.9 with 3 degrees of
    # freedom, one-sided p = 0.0001; of a difference t = 0, p = 1.
    base = shifted(0, 0)["MAE"]
    near = [v + d for v, d in zip(base, (0.1, -0.1, 0.05, -0.05), strict=True)]
    [line] = answer_of(*build({"MAE": base, "near": near}, equivalence_margin=1.0)).lines
    assert "equal within \u00b11.00 points" in line
    assert "n = 4, Holm p of a difference = 1.000, of equivalence < 0.001, at" in line


def test_a_table_says_itself_whether_its_study_could_see_a_difference(build: Callable) -> None:
    values = shifted(3, 0.2)
    extras = ReportExtras()
    blind = find(*build(values), positive_control(values, 0.2, -0.5, 0.6, -0.4), extras)
    assert blind.worth.startswith("Insensitive (4 seeds): even the positive control")
    sees = find(*build(values), positive_control(values, 6.0, 5.7, 6.4, 6.1), extras)
    assert sees.worth.startswith("Sensitivity: \u2018MAE\u2019 reads 6.05 points above its positive control")
    assert find(*build(values), None, extras).worth.startswith("Sensitivity: unknown")
    for found in (blind, sees):
        table = make_table(found.comparison, (), found.cells, None, found.worth)
        assert found.worth in table.caption


def test_what_leaves_no_noise_has_no_resolution_in_the_data_either(build: Callable) -> None:
    study, trials = build({"MAE": [25.0, 30.0, 31.0], "CMAE": [26.0, 31.0, 32.0]})
    controls = pd.DataFrame(
        {"control": "random init", "variant": "", "seed": [0, 1, 2], METRIC: [9.0, 9.1, 9.2]}
    )
    found = answer_of(study, trials, controls)
    assert found.worth[1].startswith("Resolution: unknown, as no interval")
    assert [math.isnan(each.resolution) for each in found.judged] == [True]


def test_an_interval_of_some_width_has_no_resolution_of_zero(build: Callable) -> None:
    study, trials = build({"MAE": [30.0, 31.0, 32.0], "CMAE": [30.501, 31.5, 32.499]})
    controls = pd.DataFrame(
        {"control": "random init", "variant": "", "seed": [0, 1, 2], METRIC: [9.0, 9.1, 9.2]}
    )
    # By hand: differences .501, .5, .499: sd .001, t(.975, 2) = 4.302653, half-width .0024842; gain 21.9.
    assert "half-width is 0.0001 of what" in answer_of(study, trials, controls).worth[1]


def test_seeds_to_add_begin_after_those_that_the_table_already_has(build: Callable) -> None:
    study, trials = build(shifted(0.1, 1.5, seeds=6), seeds=4)
    found = answer_of(study, trials)
    assert any("rows of trials.csv from seed 6)" in line for line in found.worth)


IMPORTED = {("MAE", seed): "1" for seed in range(4)}


@pytest.mark.parametrize("devices", [("", ""), ("gpu", "gpu")])
def test_beside_imported_cells_flops_are_compared_and_seconds_are_not(
    devices: tuple[str, str], build: Callable
) -> None:
    study, trials = build(shifted(3, 0.2), imported=IMPORTED)
    trials["device"] = trials["variant"].map(dict(zip(("MAE", "CMAE"), devices, strict=True)))
    text = answer_of(study, trials).text
    assert ", at 1.2\u00d7 the FLOPs." in text
    assert "pretraining time" not in text


def test_where_the_csv_tells_different_devices_no_seconds_are_compared(build: Callable) -> None:
    study, trials = build(shifted(3, 0.2))
    trials["device"] = ["gpu"] * 4 + ["cpu"] * 4
    assert ", at 1.2\u00d7 the FLOPs." in answer_of(study, trials).text
    both = study, trials.assign(device="gpu")
    assert "1.1\u00d7 the pretraining time and 1.2\u00d7 the FLOPs" in answer_of(*both).text
