"""Ten seeds of one variant, five against five: nothing to be found, and an instrument that could have."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.null_study import main, relabelled, splits
from cmae_ablate.study import design
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.loading import load

METRIC = "attentive_probe.top1"
TEN_SEEDS = Path(__file__).parents[2] / "analysis" / "null" / "ten_seeds.yaml"


def ten_seeds(folder: Path, gap: float = 0.0, control: float = 12.0) -> Path:
    """`trials.csv` of two variants and `controls.csv`, as a study writes them; seeds 5 to 9 read more."""
    values = 30 + np.random.default_rng(4).normal(0, 1, 10) + gap * (np.arange(10) >= 5)
    rows = [
        {"variant": variant, "seed": seed, "state": "COMPLETE", "method": variant, METRIC: value + extra}
        for variant, extra in (("MAE", 0.0), ("CMAE", 3.0))
        for seed, value in enumerate(values)
    ]
    frame = pd.DataFrame(rows).assign(weights_sha256=[f"{row['variant']}{row['seed']}" for row in rows])
    frame.to_csv(folder / "trials.csv", index=False)
    noise = np.random.default_rng(5).normal(0, 0.5, 10)
    worse = [
        ("positive control", seed, value - control + n)
        for seed, (value, n) in enumerate(zip(values, noise, strict=True))
    ]
    controls = pd.DataFrame([*worse, ("raw pixels", None, 10.0)], columns=["control", "seed", METRIC])
    controls.insert(1, "variant", "")
    controls.astype({"seed": "Int64"}).to_csv(folder / "controls.csv", index=False)
    return folder / "trials.csv"


def run(trials: Path, out: Path) -> tuple[int, dict[str, object]]:
    status = main([str(trials), "--out", str(out)])
    return status, json.loads((out / "answer.json").read_text(encoding="utf-8"))


def test_ten_seeds_of_one_variant_do_not_differ_for_a_study_that_sees_its_positive_control(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = run(ten_seeds(tmp_path), tmp_path / "out")
    assert status == 0
    assert answer["sensitive"] is True
    (verdict,) = answer["verdicts"]  # type: ignore[misc]
    assert (verdict["variant"], verdict["against"]) == ("MAE again", "MAE")
    assert (verdict["verdict"], verdict["n"]) == ("inconclusive", 5)
    assert "verdict: inconclusive\nof 126 ways to halve the seeds" in capsys.readouterr().out


def test_halves_that_do_differ_are_detected(tmp_path: Path) -> None:
    status, answer = run(ten_seeds(tmp_path, gap=8.0), tmp_path / "out")
    assert status == 1
    assert [verdict["verdict"] for verdict in answer["verdicts"]] == ["higher"]  # type: ignore[attr-defined]


def test_a_study_that_does_not_see_its_positive_control_is_insensitive(tmp_path: Path) -> None:
    status, answer = run(ten_seeds(tmp_path, gap=8.0, control=0.0), tmp_path / "out")
    assert status == 0
    assert answer["sensitive"] is False
    assert [verdict["verdict"] for verdict in answer["verdicts"]] == ["insensitive"]  # type: ignore[attr-defined]


def test_the_second_half_becomes_seeds_0_to_4_of_another_label(tmp_path: Path) -> None:
    trials = pd.read_csv(ten_seeds(tmp_path))
    halves = relabelled(trials, "MAE")
    own = trials[trials["variant"] == "MAE"][METRIC].tolist()
    assert halves["variant"].tolist() == ["MAE"] * 5 + ["MAE again"] * 5
    assert halves["seed"].tolist() == [*range(5), *range(5)]
    assert halves[METRIC].tolist() == own


def test_a_seed_that_is_missing_is_named(tmp_path: Path) -> None:
    trials = pd.read_csv(ten_seeds(tmp_path))
    with pytest.raises(SystemExit, match="'MAE': seeds 3, 7 are not complete"):
        relabelled(trials[~trials["seed"].isin([3, 7])], "MAE")


def test_every_way_to_halve_ten_seeds_is_tried_once() -> None:
    values = np.random.default_rng(0).normal(30, 1, 10).tolist()
    table = splits(values)
    assert len(table) == table["first"].nunique() == math.comb(9, 4)
    row = table[table["first"] == "0 2 4 6 8"].iloc[0]
    differences = [values[b] - values[a] for a, b in zip((0, 2, 4, 6, 8), (1, 3, 5, 7, 9), strict=True)]
    assert row["delta"] == pytest.approx(sum(differences) / 5)
    mean = sum(differences) / 5
    t = mean / math.sqrt(sum((d - mean) ** 2 for d in differences) / 4 / 5)
    assert row["detected"] == (abs(t) > 2.776445)


def test_of_ten_alike_seeds_one_split_in_twenty_finds_something() -> None:
    rng = np.random.default_rng(1)
    share = np.mean([splits(rng.normal(0, 1, 10).tolist())["detected"].mean() for _ in range(60)])
    assert 0.02 < share < 0.09  # splits of one draw are alike, so that 60 draws leave a wide range


def test_the_study_of_ten_seeds_is_one_variant_with_its_positive_control() -> None:
    study = load(TEN_SEEDS)
    (variant,) = design.variants(study)
    assert (variant.label, study.seeds) == ("MAE", 10)
    assert "positive control" in [control.label for control in control_variants(study, [variant]).variants]


def test_the_committed_study_asks_at_the_scale_of_its_seeds_in_the_words_of_answers() -> None:
    committed = TEN_SEEDS.parent
    null, table = load(committed / "null.yaml"), (committed / "table.md").read_text(encoding="utf-8")
    assert null.scale == load(TEN_SEEDS).scale == "hour"
    assert "Scale: hour; 5 planned seeds." in table
    assert null.question == "Do five seeds of MAE differ detectably from five others?"
    assert "told apart" not in table
    # The encoder's parameters and FLOPs an image are those of that scale, as the trials have them.
    (spec,) = {variant.spec.training.epochs for variant in design.variants(null)}
    assert spec == 16
