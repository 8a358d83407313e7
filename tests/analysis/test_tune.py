from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.recipe.tune import METRICS, SEEDS, STUDY, SWEEPS, Cell, cells, sensitivity
from cmae_ablate.study import design, loading


def rows(gaps: dict[str, list[float]]) -> pd.DataFrame:
    """One reference at 20 points and one control below it for each setting and seed, all metrics alike."""
    found = []
    for setting, values in gaps.items():
        for seed, gap in zip(SEEDS, values, strict=False):
            for role, top1 in (("reference", 20.0), ("control", 20.0 - gap)):
                row: dict[str, object] = {"setting": setting, "role": role, "seed": seed, "cpu_seconds": 50.0}
                found.append(row | {f"{name}.validation_top1": top1 for name in METRICS})
    return pd.DataFrame(found)


def test_sensitivity_is_the_mean_difference_over_the_pooled_noise() -> None:
    found = sensitivity(rows({"base": [5.0, 7.0], "batch 32": [2.0, 6.0]}))
    # Sums of squares around the means 6 and 4: 2 and 8, with one degree of freedom each; sd = sqrt(10 / 2).
    own = found[found["metric"] == "attentive_probe.validation_top1"].set_index("setting")
    assert own.loc["base", "sensitivity"] == pytest.approx(6 / math.sqrt(5))
    assert own.loc["batch 32", "sensitivity"] == pytest.approx(4 / math.sqrt(5))


def test_a_setting_with_one_seed_lends_its_difference_and_borrows_the_noise() -> None:
    found = sensitivity(rows({"base": [5.0, 7.0], "batch 32": [8.0]}))
    own = found[found["metric"] == "knn.validation_top1"].set_index("setting")
    assert own.loc["batch 32", "sensitivity"] == pytest.approx(8 / math.sqrt(2))


def test_one_seed_alone_has_no_noise_and_claims_no_sensitivity() -> None:
    assert sensitivity(rows({"base": [5.0]}))["sensitivity"].isna().all()


def test_untrained_encoders_stand_in_the_table_and_enter_no_sensitivity() -> None:
    table = rows({"base": [5.0, 7.0]})
    untrained = table[table["role"] == "control"].assign(role="untrained")
    pd.testing.assert_frame_equal(sensitivity(pd.concat([table, untrained])), sensitivity(table))
    assert {cell.setting for cell in cells() if cell.role == "untrained"} == {"base"}


def test_a_reference_without_its_control_is_left_out() -> None:
    table = rows({"base": [5.0, 7.0]})
    assert (sensitivity(table[:-1])["n"] == 1).all()


def test_no_seed_of_a_table_is_used_and_no_test_image_is_looked_at() -> None:
    assert min(cell.seed for cell in cells()) >= 1000
    assert all(name.endswith("validation_top1") for name in sensitivity(rows({"base": [1.0, 2.0]}))["metric"])
    assert Cell("base", "reference", 1000).spec()["dataset"].options["num_test"] == 32


def test_the_control_differs_from_the_reference_by_a_quarter_of_the_epochs_alone() -> None:
    for setting in ("base", "plain pixels", "twice the images, half the epochs"):
        reference, control = (Cell(setting, role, 1000).spec() for role in ("reference", "control"))
        assert reference.training.epochs == 4 * control.training.epochs
        assert reference.training.warmup_epochs == pytest.approx(4 * control.training.warmup_epochs)
        changed = {"epochs": control.training.epochs, "warmup_epochs": control.training.warmup_epochs}
        assert reference.training.model_copy(update=changed) == control.training
        assert dict(reference.components) == dict(control.components)


def test_a_stopped_run_has_whole_pairs_of_several_settings_and_the_first_ones_noise() -> None:
    order = [(cell.setting, cell.role, cell.seed) for cell in cells()]
    assert len(set(order)) == len(order)
    references = [at for at, (_, role, _) in enumerate(order) if role == "reference"]
    assert all(order[at + 1] == (order[at][0], "control", order[at][2]) for at in references)
    early = {(setting, seed) for setting, _, seed in order[:12]}
    assert {("base", 1000), ("base", 1001), ("plain pixels", 1000), ("batch 32", 1000)} <= early


def test_the_second_sweep_begins_with_what_the_scale_hour_trains() -> None:
    study = loading.load(STUDY, scale="hour")
    mae = next(v.spec for v in design.variants(study) if v.label == "MAE")
    base = Cell("base", "reference", 0, SWEEPS["hour"]).spec()
    assert base.training == mae.training
    assert {s: c for s, c in base.components.items() if s != "dataset"} == {
        s: c for s, c in mae.components.items() if s != "dataset"
    }
