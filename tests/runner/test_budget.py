"""Equal FLOPs and equal time: how long each variant trains, and that every command agrees on it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import optuna
import pandas as pd
import pytest

from cmae_ablate.cli.app import main
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.runner.budget import apply_budget, flops_per_epoch, seconds_per_epoch, with_epochs
from cmae_ablate.runtime import Runtime
from cmae_ablate.study import design
from cmae_ablate.study.design import Variant
from cmae_ablate.study.loading import load
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.cost import measure
from tests.tiny import TINY_STUDY


def long(spec: TrialSpec, epochs: int, **training: float) -> TrialSpec:
    tree = spec.to_tree()
    return resolve({**tree, "training": {**tree["training"], "epochs": epochs, **training}})


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["cmae-ablate", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.fixture
def timed_study(tiny_study: Path) -> Path:
    tiny_study.write_text(TINY_STUDY.replace("seeds: 2", "seeds: 1") + "budget: time\n")
    return tiny_study


def test_every_variant_gets_the_whole_epochs_that_come_nearest_to_the_references_cost(
    tiny_spec: TrialSpec,
) -> None:
    spec = long(tiny_spec, 10)
    variants = [Variant(label, {}, spec) for label in ("reference", "dear", "cheap", "very dear")]
    costs = {"reference": 3.0, "dear": 7.0, "cheap": 0.8, "very dear": 900.0}
    shared, shares = apply_budget(variants, "reference", costs)
    # 30 / 7 = 4.29, 30 / 0.8 = 37.5 (half to even), 30 / 900 = 0.03: never less than one epoch.
    assert [v.spec.training.epochs for v in shared] == [10, 4, 38, 1]
    assert [share.ratio for share in shares] == pytest.approx([1.0, 28 / 30, 30.4 / 30, 30.0])


def test_a_variant_without_a_cost_keeps_its_epochs_and_has_no_share(tiny_spec: TrialSpec) -> None:
    variants = [Variant("reference", {}, tiny_spec), Variant("from a file", {}, tiny_spec)]
    shared, shares = apply_budget(variants, "reference", {"reference": 1.0})
    assert shared[1].spec == tiny_spec
    assert [share.variant for share in shares] == ["reference"]


def test_warm_ups_keep_their_share_of_the_training(tiny_spec: TrialSpec) -> None:
    whole = long(tiny_spec, 20, warmup_epochs=3.0)
    before = resolve({**whole.to_tree(), "crop": {"name": "contrastive", "warmup_epochs": 4}})
    after = with_epochs(before, 5)
    assert after.training.epochs == 5
    assert after.training.warmup_epochs == pytest.approx(3.0 * 5 / 20)
    assert after["crop"].options["warmup_epochs"] == 1
    assert with_epochs(after, 20) == before
    assert with_epochs(before, 20) is before


def test_an_epochs_flops_are_those_counted_of_an_image_times_the_images(tiny_spec: TrialSpec) -> None:
    assert flops_per_epoch(tiny_spec, 32, 64) == 64 * measure(tiny_spec, 32).flops_image


def test_workers_that_begin_at_once_measure_once_and_read_the_same_seconds(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def count(label: str, *_: object) -> float:
        measured.append(label)
        return 0.1 * len(measured)

    monkeypatch.setattr("cmae_ablate.runner.budget.seconds_per_step", count)
    trials = {"a": (tiny_spec, tiny_data), "b": (long(tiny_spec, 3), tiny_data)}
    record = tmp_path / "study" / "budget.json"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: seconds_per_epoch(trials, Runtime(), record), range(4)))
    assert measured == ["a", "b"]
    assert found[0] == pytest.approx({"a": 0.4, "b": 0.8})  # four steps an epoch
    assert all(each == found[0] for each in found)


def test_a_step_takes_some_time_and_the_measurement_leaves_only_its_record(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    record = tmp_path / "budget.json"
    seconds = seconds_per_epoch({"a": (tiny_spec, tiny_data)}, Runtime(), record)
    assert 0 < seconds["a"] < 60
    assert {path.name for path in tmp_path.iterdir()} <= {"budget.json", "budget.lock"}
    assert json.loads(record.read_text())["device"] == "cpu"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "",
        "[]",
        "{}",
        '{"seconds_per_step": 1}',
        '{"seconds_per_step": {"a": -1}}',
        '{"seconds_per_step": {"a": 0}}',
        '{"seconds_per_step": {"a": NaN}}',
        '{"seconds_per_step": {"a": Infinity}}',
        '{"seconds_per_step": {"a": "1"}}',
        '{"seconds_per_step": {"a": true}}',
        '{"seconds_per_step": {"a": 1}, "record_sha256": "of other seconds"}',
    ],
)
def test_a_damaged_measurement_is_said_with_what_to_do(
    content: str, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    (tmp_path / "budget.json").write_text(content)
    with pytest.raises(UserError, match=r"budget\.json: damaged; delete it"):
        seconds_per_epoch({"a": (tiny_spec, tiny_data)}, Runtime(), tmp_path / "budget.json")


def test_levels_that_set_epochs_contradict_an_equal_budget(tiny_study: Path) -> None:
    levels = "path: training.epochs\n    levels: [1, 2]\n"
    text = TINY_STUDY.replace("reference: {decoder: depth 1}", "reference: {length: 1}")
    head, _, tail = text.partition("factors:\n")
    tiny_study.write_text(
        f"{head}factors:\n  length:\n    {levels}{tail[tail.index('reference:') :]}budget: flops\n"
    )
    with pytest.raises(UserError, match=r"tiny_study\.yaml:\d+:\d+: budget: equal flops decides"):
        design.variants(load(tiny_study))


def test_plan_shows_the_epochs_of_equal_flops(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_study.write_text(TINY_STUDY + "budget: flops\n")
    settings = ("--set", "training.epochs=20", "--device", "cpu", "--out", tmp_path / "runs")
    assert command(monkeypatch, "plan", tiny_study, *settings) == 0
    specs = {v.label: v.spec for v in design.variants(load(tiny_study))}
    ratio = measure(specs["depth 1"], 32).flops_image / measure(specs["linear"], 32).flops_image
    said = " ".join(capsys.readouterr().out.split())
    assert (
        f"\u2018depth 1\u2019 20 epochs (1.00\u00d7); \u2018linear\u2019 {round(20 * ratio)} epochs" in said
    )
    assert round(20 * ratio) > 20
    assert not (tmp_path / "runs").exists()


def test_looking_at_a_study_of_equal_time_measures_nothing(
    timed_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    common = ("--device", "cpu", "--out", out)
    assert command(monkeypatch, "plan", timed_study, *common) == 0
    assert "estimated from FLOPs; `run` measures it" in " ".join(capsys.readouterr().out.split())
    assert command(monkeypatch, "status", timed_study, *common) == 0
    assert command(monkeypatch, "report", timed_study, *common) == 1
    assert not out.exists()
    # Another study's state lies there: still nothing of this one has run.
    out.mkdir()
    optuna.create_study(study_name="another", storage=f"sqlite:///{out / 'optuna.db'}")
    assert command(monkeypatch, "status", timed_study, *common) == 0
    assert command(monkeypatch, "report", timed_study, *common) == 1
    assert not (out / "tiny_study").exists()


def test_run_worker_status_and_report_agree_on_the_epochs_of_equal_time(
    timed_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    seconds = {"depth 1": 0.3, "linear": 0.1}
    monkeypatch.setattr("cmae_ablate.runner.budget.seconds_per_step", lambda label, *_: seconds[label])
    common = ("--device", "cpu", "--out", out)
    assert command(monkeypatch, "run", timed_study, *common, "--workers", "1") == 0
    monkeypatch.setattr(
        "cmae_ablate.runner.budget.seconds_per_step", None
    )  # from here on nothing is measured
    said = (
        "Equal time: every variant is pretrained for about the time of \u2018depth 1\u2019, in whole epochs: "
    )
    said += "\u2018depth 1\u2019 2 epochs (1.00\u00d7); \u2018linear\u2019 6 epochs (1.00\u00d7)."
    folder = out / "tiny_study"
    # Not the caption: it says what the cells really took, and these seconds are made up.
    assert said in " ".join(capsys.readouterr().out.split())
    trained = pd.read_csv(folder / "trials.csv")
    assert command(monkeypatch, "status", timed_study, *common) == 0
    assert "2 of 2 cells complete" in capsys.readouterr().out
    assert command(monkeypatch, "worker", timed_study, *common) == 0
    assert command(monkeypatch, "report", timed_study, *common) == 0
    assert command(monkeypatch, "plan", timed_study, *common) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    pd.testing.assert_frame_equal(pd.read_csv(folder / "trials.csv"), trained)
    recorded = [json.loads(path.read_text()) for path in out.glob("cache/pretrain/*/result.json")]
    assert sorted(len(each["history"]) for each in recorded) == [1, 2, 6]  # the positive control: 1


def test_a_report_from_a_csv_alone_names_the_budget_and_needs_no_data(
    timed_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("depth 1", 0, 30.0), ("linear", 0, 31.0), ("depth 1", 1, 32.0), ("linear", 1, 34.0)]
    trials = pd.DataFrame(rows, columns=["variant", "seed", "knn.top1"]).assign(state="COMPLETE")
    trials.to_csv(tmp_path / "trials.csv", index=False)
    cache = tmp_path / "no data here"
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(cache))
    out = ("--trials", tmp_path / "trials.csv", "--out", tmp_path / "report")
    assert command(monkeypatch, "report", timed_study, *out) == 0
    assert "Equal time: every variant is pretrained" in (tmp_path / "report" / "table.md").read_text()
    assert not cache.exists()


def test_a_budget_changes_no_fingerprint_of_the_reference(tiny_spec: TrialSpec) -> None:
    variants = [Variant("reference", {}, tiny_spec), Variant("other", {}, replace(tiny_spec))]
    shared, _ = apply_budget(variants, "reference", {"reference": 2.0, "other": 1.0})
    assert shared[0].spec.pretrain_fingerprint("data") == tiny_spec.pretrain_fingerprint("data")
    assert shared[1].spec.pretrain_fingerprint("data") != tiny_spec.pretrain_fingerprint("data")
