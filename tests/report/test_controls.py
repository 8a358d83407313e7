"""Reference against controls, by own arithmetic and a published number."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report import write_report
from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.controls import control_effects, control_table, sensitivity
from cmae_ablate.report.effects import Comparison, compare
from cmae_ablate.report.worth import resolution_sentence
from tests.report.conftest import METRIC

# Student's sleep data (1908; R's `sleep`): t = -4.0621, df = 9, p = 0.002833, CI -2.4598858 to -0.7001142.
DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
OTHER = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
HOURS = 10.0


def controls(rows: list[tuple[str, str, float | None, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["control", "variant", "seed", METRIC])


def compared(build: Callable, values: list[float], **changes: object) -> Comparison:
    study, trials = build({"MAE": values}, report=(), **changes)
    return compare(sort_out(trials, study), METRIC)


def test_the_positive_control_is_paired_by_seed(build: Callable) -> None:
    comparison = compared(build, [HOURS + v for v in OTHER])
    # Seeds in another order than the table's: pairing is by seed, not by row.
    rows = [("positive control", "", s, HOURS + v) for s, v in reversed(list(enumerate(DRUG)))]
    [row] = control_table(control_effects(comparison, controls(rows))).to_dict("records")
    assert (row["control"], row["n"]) == ("positive control", 10)
    assert row["delta"] == pytest.approx(1.58)
    assert row["ci_low"] == pytest.approx(0.7001142, abs=1e-7)
    assert row["ci_high"] == pytest.approx(2.4598858, abs=1e-7)
    assert row["p"] == pytest.approx(0.002833, abs=5e-7)


def test_raw_pixels_are_set_against_each_seeds_value(build: Callable) -> None:
    comparison = compared(build, [34.0, 36.0, 35.0])
    [row] = control_table(control_effects(comparison, controls([("raw pixels", "", None, 14.0)]))).to_dict(
        "records"
    )
    # Differences 20, 22, 21: mean 21, sd 1, t(0.975, 2) = 4.302653.
    assert (row["n"], row["delta"]) == (3, 21.0)
    assert row["ci_high"] - 21 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_what_pretraining_brings_is_measured_from_scratch_where_nothing_untrained_can_be_read(
    build: Callable,
) -> None:
    comparison = compared(build, [34.0, 36.0, 35.0])
    scratch = [("from scratch", "", float(seed), 30.0) for seed in range(3)]
    untrained = [("random init", "", float(seed), 20.0) for seed in range(3)]
    for rows, benefit, words in (
        (scratch, 5.0, " over training from scratch (+5.00 points)"),
        ([*scratch, *untrained], 15.0, " over random init (+15.00 points)"),
    ):
        found = sensitivity(comparison, control_effects(comparison, controls(rows)))
        assert found.benefit == benefit
        assert found.resolution(-2.0, 3.0) == pytest.approx(2.5 / benefit)
        assert words in resolution_sentence(comparison, found)
    nothing = sensitivity(comparison, control_effects(comparison, controls([])))
    assert resolution_sentence(comparison, nothing).startswith(
        "Resolution: unknown, as no encoder without pretraining was measured in "
    )


def test_a_controls_row_of_the_variant_goes_before_one_that_holds_for_all(build: Callable) -> None:
    comparison = compared(build, [34.0, 36.0])
    rows = [
        ("random init", "", 0.0, 1.0),
        ("random init", "", 1.0, 26.0),
        ("random init", "MAE", 0.0, 20.0),
    ]
    [row] = control_table(control_effects(comparison, controls(rows))).to_dict("records")
    assert (row["n"], row["delta"]) == (2, 12.0)  # (34 - 20 + 36 - 26) / 2


def test_a_control_of_another_variant_is_not_the_references(build: Callable) -> None:
    comparison = compared(build, [34.0, 36.0])
    rows = [
        ("random init", "CMAE", 0.0, 1.0),
        ("random init", "MAE", 0.0, 20.0),
        ("random init", "MAE", 1.0, 21.0),
    ]
    [effect] = control_effects(comparison, controls(rows))
    assert effect.paired.delta == 14.5


@pytest.mark.parametrize(
    ("below", "sensitive"),
    [
        ([5.0, 5.5, 4.8], True),
        ([0.5, -0.6, 0.2], False),
        ([-5.0, -5.5, -4.8], False),
        ([0.0, 0.0, 0.0], False),
        ([5.0], None),
        ([], None),
    ],
    ids=["detected", "not detected", "reads better", "the very same numbers", "one seed", "no control"],
)
def test_a_study_is_sensitive_where_it_detects_its_positive_control(
    below: list[float], sensitive: bool | None, build: Callable
) -> None:
    values = [34.0, 36.0, 35.0]
    comparison = compared(build, values)
    rows = [("positive control", "", float(s), values[s] - d) for s, d in enumerate(below)]
    found = sensitivity(comparison, control_effects(comparison, controls(rows) if rows else None))
    assert found.sensitive is sensitive


def test_of_a_loss_the_reference_has_to_be_the_lower_one(build: Callable) -> None:
    study, trials = build({"MAE": [0.5, 0.6, 0.55]}, report=())
    trials = trials.rename(columns={METRIC: "pretrain.loss"})
    comparison = compare(
        sort_out(trials, build({"MAE": [1.0] * 3}, metric="pretrain.loss", report=())[0]), "pretrain.loss"
    )
    rows = pd.DataFrame(
        {"control": ["positive control"] * 3, "seed": [0, 1, 2], "pretrain.loss": [0.8, 0.91, 0.84]}
    )
    assert sensitivity(comparison, control_effects(comparison, rows)).sensitive is True
    assert study.reference == "MAE"


def test_control_effects_csv_has_the_contracts_columns(tmp_path: Path, build: Callable) -> None:
    study, trials = build({"MAE": [34.0, 36.0], "CMAE": [35.0, 36.0]})
    rows = [
        ("positive control", "", 0.0, 20.0),
        ("positive control", "", 1.0, 23.0),
        ("raw pixels", "", None, 14.0),
    ]
    write_report(study, trials, controls(rows), tmp_path)
    table = pd.read_csv(tmp_path / "control_effects.csv")
    assert list(table.columns[:6]) == ["control", "n", "delta", "ci_low", "ci_high", "p"]
    assert table["control"].tolist() == ["positive control", "raw pixels"]
    assert table["delta"].tolist() == [13.5, 21.0]


def test_without_controls_the_file_has_its_header(tmp_path: Path, build: Callable) -> None:
    study, trials = build({"MAE": [34.0, 36.0], "CMAE": [35.0, 36.0]})
    write_report(study, trials, None, tmp_path)
    assert (tmp_path / "control_effects.csv").read_text().startswith("control,n,delta,ci_low,ci_high,p")


def test_a_control_that_differs_alike_in_every_seed_is_not_tested(build: Callable) -> None:
    comparison = compared(build, [34.0, 36.0, 35.0])
    rows = [("positive control", "", s, v - 3.0) for s, v in enumerate([34.0, 36.0, 35.0])]
    rows += [("random init", "", s, v) for s, v in enumerate([20.0, 21.0, 23.0])]
    table = control_table(control_effects(comparison, controls(rows))).set_index("control")
    assert table["p"].isna().to_dict() == {"positive control": True, "random init": False}
    assert math.isnan(table.loc["positive control", "p_holm"])
    assert table.loc["random init", "p_holm"] == pytest.approx(2 * table.loc["random init", "p"])
