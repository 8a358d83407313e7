"""What documents state beyond the CSVs of a report follows from these by the arithmetic written here."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.derived import all_derived, of_localisation, of_recipe, of_study

ANALYSIS = Path(__file__).parents[2] / "analysis"
TIMES = "\N{MULTIPLICATION SIGN}"


def cell(table: pd.DataFrame, quantity: str, of: str, against: str | None = None) -> float:
    own = table[(table["quantity"] == quantity) & (table["of"] == of)]
    if against is not None:
        own = own[own["against"] == against]
    (value,) = own["value"]
    return float(value)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    pd.DataFrame(
        {
            "variant": ["MAE", "linear", "random init", "raw pixels"],
            "kind": ["variant", "variant", "control", "control"],
            "mean": [30.0, 22.0, 20.0, 25.0],
            "knn.top1.mean": [10.0, 9.0, 8.0, 12.0],
            "seconds.pretrain": [200.0, 50.0, None, None],
            "flops.pretrain_image": [4e6, 3e6, None, None],
            "params.decoder": [100.0, 10.0, None, None],
        }
    ).to_csv(tmp_path / "table.csv", index=False)
    pd.DataFrame(
        {"variant": ["MAE", "linear"], "against": "MAE", "ci_low": [None, -9.0], "ci_high": [None, -7.0]}
    ).to_csv(tmp_path / "effects.csv", index=False)
    pd.DataFrame({"control": ["random init"], "delta": [10.0]}).to_csv(
        tmp_path / "control_effects.csv", index=False
    )
    return tmp_path


def test_costs_are_ratios_gains_differences_and_the_resolution_a_half_width_over_the_gain(
    study: Path,
) -> None:
    table = of_study(study)
    assert cell(table, "seconds.pretrain, ratio", "linear", "MAE") == 0.25
    assert cell(table, "flops.pretrain_image, ratio", "linear", "MAE") == 0.75
    assert cell(table, "metric, difference", "linear", "random init") == 2.0
    assert cell(table, "knn.top1, difference", "MAE", "raw pixels") == -2.0
    assert cell(table, "resolution", "linear", "MAE") == pytest.approx(0.1)


def test_the_terms_of_a_grid_have_a_resolution_over_training_from_scratch_where_it_was_fine_tuned(
    study: Path,
) -> None:
    pd.DataFrame({"control": ["positive control", "from scratch"], "delta": [5.0, 16.0]}).to_csv(
        study / "control_effects.csv", index=False
    )
    pd.DataFrame(
        {
            "term": ["seed", "method", f"method {TIMES} recipe"],
            "contrast": [None, "CMAE, MAE", "both"],
            "ci_low": [None, -6.0, -1.0],
            "ci_high": [None, -2.0, 3.0],
        }
    ).to_csv(study / "factorial.csv", index=False)
    table = of_study(study)
    assert cell(table, "resolution", "method", "CMAE, MAE") == 0.125
    assert cell(table, "resolution", f"method {TIMES} recipe") == 0.125
    assert cell(table, "resolution", "linear") == 0.0625


@pytest.mark.parametrize("folder", ["fine_tuning-hour", "fine_tuning-hour_five", "cmae_vs_mae-hour"])
def test_resolutions_are_those_that_the_report_states(folder: str) -> None:
    stated = json.loads((ANALYSIS / folder / "answer.json").read_text())["verdicts"]
    table = of_study(ANALYSIS / folder)
    for each in stated:
        terms = TIMES in each["variant"] or each["variant"] in ("method", "recipe")
        derived = cell(table, "resolution", each["variant"], None if terms else each["against"])
        assert derived == pytest.approx(each["resolution"], rel=1e-6), each["variant"]


def test_where_pretraining_brings_nothing_there_is_no_resolution(study: Path) -> None:
    pd.DataFrame({"control": ["random init"], "delta": [-0.03]}).to_csv(
        study / "control_effects.csv", index=False
    )
    assert "resolution" not in set(of_study(study)["quantity"])


def test_of_the_recipe_means_over_seeds_and_gains_over_the_untrained(tmp_path: Path) -> None:
    name = "attentive_probe.validation_top1"
    rows = [("base", "reference", 30.0), ("base", "reference", 32.0), ("base", "untrained", 20.0)]
    frame = pd.DataFrame(rows, columns=["setting", "role", name]).assign(cpu_seconds=100.0)
    frame.to_csv(tmp_path / "validation.csv", index=False)
    sizes = {"shortest": [0.45], "longest": [0.85]}
    for metric in ("linear_probe", "attentive_probe"):
        sizes |= {f"untrained.{metric}.validation_top1": [5.0], f"mae.{metric}.validation_top1": [9.0]}
    pd.DataFrame(sizes).to_csv(tmp_path / "sizes.csv", index=False)
    table = of_recipe(tmp_path)
    assert cell(table, name, "base, reference") == 31.0
    assert cell(table, f"{name}, difference", "base", "untrained") == 11.0
    assert cell(table, f"{name}, difference", "0.45 to 0.85", "untrained") == 4.0


def test_of_localisation_what_the_best_map_adds_to_the_whole_image(tmp_path: Path) -> None:
    rows = [
        ("scenes", "none", "full image", 0.4),
        ("scenes", "MAE", "norm", 0.6),
        ("scenes", "MAE", "sum", 0.3),
    ]
    pd.DataFrame(rows, columns=["dataset", "encoder", "heatmap", "iou"]).to_csv(
        tmp_path / "iou.csv", index=False
    )
    assert cell(of_localisation(tmp_path), "iou, best map", "scenes, MAE") == pytest.approx(0.2)


@pytest.mark.parametrize("path", all_derived(), ids=lambda path: path.parent.name)
def test_what_is_committed_is_what_the_script_writes(path: Path, tmp_path: Path) -> None:
    all_derived()[path].to_csv(tmp_path / "again.csv", index=False)
    pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(tmp_path / "again.csv"), rtol=1e-9)
