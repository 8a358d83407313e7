"""Controls are trained once, by the workers of the study, and a report only reads what they found."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import cast

import optuna
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cmae_ablate.cli.plan import show_plan
from cmae_ablate.cli.status import show_status
from cmae_ablate.components.evaluation_protocols import EvaluationContext, EvaluationResult
from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.evaluations.from_scratch import FromScratch
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.report.wording import BLANK
from cmae_ablate.runner import attempt, cell
from cmae_ablate.runner.cell import CellContext
from cmae_ablate.runner.control_cells import raw_pixel_control, untrained_control
from cmae_ablate.runner.experiment import Places
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.repeat_cell import repeat_cell
from cmae_ablate.runner.reporting import report_again
from cmae_ablate.runner.run import run_study
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.design import EVALUATION, RANDOM_INIT, ControlKind
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import Hooks
from cmae_ablate.training.model import build_encoder
from cmae_ablate.training.untrained import untrained_encoder
from tests.tiny import TINY_STUDY
from tests.whole_study import control_trials, optuna_trials, quiet, run, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
CELLS = {("random init", 0), ("random init", 1), ("raw pixels", 0)}
CELLS |= {("positive control", 0), ("positive control", 1)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study that ran undisturbed: its file and its `--out`."""
    folder = tmp_path_factory.mktemp("finished")
    study, out = write_study(folder), folder / "runs"
    assert run(study, out) == 0
    return study, out


def controls(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "study" / "controls.csv", keep_default_na=False, na_values=[""])


def cells(trials: list[optuna.trial.FrozenTrial]) -> list[tuple[str, int]]:
    return [(each.user_attrs["variant"], each.user_attrs["seed"]) for each in trials]


def test_controls_are_complete_trials_of_an_optuna_study_of_their_own(finished: tuple[Path, Path]) -> None:
    trials = control_trials(finished[1])
    assert Counter(cells(trials)) == Counter(CELLS)
    assert {each.state.name for each in trials} == {"COMPLETE"}
    assert {variant for variant, _ in cells(optuna_trials(finished[1]))} == {"depth 1", "linear"}


def test_controls_are_runs_of_an_experiment_of_their_own(finished: tuple[Path, Path]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(Places.below(finished[1]).tracking)
    experiment = client.get_experiment_by_name("study/controls")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {each.info.status for each in runs} == {"FINISHED"}
    found = [
        (each.data.tags["variant"], int(each.data.tags["seed"])) for each in runs if "seed" in each.data.tags
    ]
    assert Counter(found) == Counter(CELLS)
    groups = [each.data for each in runs if each.data.tags["cmae.kind"] == "variant"]
    assert {each.tags["variant"] for each in groups} == {variant for variant, _ in CELLS}
    assert all("knn/top1" in each.metrics for each in groups)


def test_controls_have_a_row_a_seed_that_a_table_can_be_paired_with(finished: tuple[Path, Path]) -> None:
    found = controls(finished[1])
    assert list(found.columns[:3]) == ["control", "variant", "seed"]
    assert list(found.columns[-2:]) == ["fingerprint", "weights_sha256"]
    assert list(zip(found["control"], found["seed"].fillna(-1), strict=True)) == [
        ("random init", 0),
        ("random init", 1),
        ("raw pixels", -1),
        ("positive control", 0),
        ("positive control", 1),
    ]
    assert found["variant"].isna().all()
    assert found["knn.top1"].notna().all()
    assert found["fingerprint"].nunique() == 5
    assert found["weights_sha256"].nunique() == 4  # pixels have none


def test_the_same_command_again_starts_no_control_anew(finished: tuple[Path, Path]) -> None:
    study, out = finished
    before = (out / "study" / "controls.csv").read_bytes()
    console = quiet()
    assert run_study(Options(study, workers=1, device="cpu", out=out), console) == 0
    assert "all 9 cells (5 of them controls) of study are complete; nothing to train" in said(console)
    assert len(control_trials(out)) == 5
    assert (out / "study" / "controls.csv").read_bytes() == before


def test_a_report_reads_and_computes_nothing(
    finished: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = finished
    copied = tmp_path / "runs"
    shutil.copytree(out, copied)
    shutil.rmtree(copied / "cache" / "controls")
    (copied / "study" / "controls.csv").unlink()

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("a report evaluated something")

    monkeypatch.setattr(attempt, "run_any", never)
    monkeypatch.setattr(cell, "evaluate", never)
    monkeypatch.setattr(FrozenFeatures, "get", never)
    assert report_again(Options(study, device="cpu", out=copied), quiet()) == 0
    pd.testing.assert_frame_equal(controls(copied), controls(out))


def test_plan_and_status_tell_of_controls(finished: tuple[Path, Path]) -> None:
    study, out = finished
    console = quiet()
    show_plan(Options(study, device="cpu", out=out), console)
    assert "4 cells (2 variants x 2 seeds) and 5 of controls" in said(console)
    assert "positive control" in said(console)
    cells = said(console).replace("\N{BOX DRAWINGS LIGHT VERTICAL} ", "")
    assert f"raw pixels 0{7 * f' {BLANK}'}" in cells  # six costs, and hours that are not estimated
    assert "raw pixels are not timed" in said(console)
    console = quiet()
    show_status(Options(study, device="cpu", out=out), console)
    assert "4 of 4 cells complete, 0 with reused pretraining; 5 of 5 controls complete" in said(console)


def test_a_control_can_be_repeated_from_nothing(finished: tuple[Path, Path]) -> None:
    study, out = finished
    for name in ("positive control:1", "random init:0"):
        console = quiet()
        assert repeat_cell(Options(study, workers=1, device="cpu", out=out), name, console) == 0
        assert "equal to the recorded weights" in said(console)


def test_what_controls_pretrain_is_in_use_and_not_pruned(finished: tuple[Path, Path]) -> None:
    from cmae_ablate.runner.cache import entries

    assert [entry for entry in entries(finished[1]) if entry.is_unused] == []


EPOCHS_STUDY = TINY_STUDY[: TINY_STUDY.index("factors:")] + (
    "factors:\n  epochs:\n    path: training.epochs\n    levels: {four: 4, one: 1}\n"
    "reference: {epochs: four}\nseeds: 1\nmetric: knn.top1\n"
)


def test_a_positive_control_that_is_also_a_variant_is_trained_once(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    study.write_text(EPOCHS_STUDY)
    assert run(study, out) == 0
    trials = pd.read_csv(out / "study" / "trials.csv").set_index("variant")
    [control] = controls(out).query("control == 'positive control'").to_dict("records")
    assert control["weights_sha256"] == trials.loc["one", "weights_sha256"]
    assert control["knn.top1"] == trials.loc["one", "knn.top1"]
    assert len(list((out / "cache" / "pretrain").iterdir())) == 2


def test_a_control_that_fails_for_good_is_named_and_the_table_stands(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    study.write_text(
        TINY_STUDY.replace("seeds: 2", "seeds: 1") + "positive_control: {training.base_lr: 1.0e+30}\n"
    )
    console = quiet()
    assert run_study(Options(study, workers=1, device="cpu", out=out), console) == 1
    assert "failed: positive control, seed 0: DivergedError" in said(console)
    assert set(pd.read_csv(out / "study" / "trials.csv")["state"]) == {"COMPLETE"}
    assert list(controls(out)["control"]) == ["random init", "raw pixels"]
    assert (out / "study" / "index.html").is_file()
    assert report_again(Options(study, device="cpu", out=out), quiet()) == 1


def test_more_seeds_add_controls_of_these_seeds(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    assert run(study, out, seeds=1) == 0
    first = controls(out)
    assert run(study, out) == 0
    assert Counter(cells(control_trials(out))) == Counter(CELLS)
    both = controls(out)
    pd.testing.assert_frame_equal(both[~(both["seed"] == 1)].reset_index(drop=True), first)


def test_training_from_scratch_is_done_once_a_seed_and_stands_among_the_controls_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    recipe = "epochs: 1, batch_size: 16"
    study.write_text(
        TINY_STUDY + f"set: {{evaluations: {{from_scratch: {{{recipe}}}, fine_tune: {{{recipe}}}}}}}\n"
    )
    asked: list[int] = []
    call = FromScratch.__call__

    def counted(self: FromScratch, context: EvaluationContext) -> EvaluationResult:
        asked.append(context.seed)
        return call(self, context)

    monkeypatch.setattr(FromScratch, "__call__", counted)
    assert run(study, out) == 0
    assert asked == [0, 1]
    assert [name for name in pd.read_csv(out / "study" / "trials.csv") if "scratch" in name] == []
    found = controls(out).set_index("control").loc["from scratch"]
    assert list(found["seed"]) == [0, 1]
    assert found["from_scratch.top1"].notna().all()
    assert list(found["fine_tune.top1"]) == list(found["from_scratch.top1"])
    trained = controls(out).set_index("control").loc["positive control"]
    assert trained["fine_tune.top1"].notna().all()
    assert trained["from_scratch.top1"].isna().all()


def test_an_untrained_encoder_sees_images_normalised_as_its_variant_does(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    weights = cast("nn.Module", build_encoder(tiny_spec, tiny_data.image_size)).state_dict()
    save_file(weights, tmp_path / "mae.safetensors")
    found = {}
    for normalization in ("data", "imagenet"):
        backbone = {"name": "checkpoint", "path": str(tmp_path / "mae.safetensors"), "heads": 2}
        tree = apply(tiny_spec.to_tree(), ("backbone",), {**backbone, "normalization": normalization})
        spec = resolve(apply(tree, ("evaluations", "representation"), {}), 0)
        cell_context = CellContext(tiny_data, Runtime(), tmp_path / "cache")
        found[normalization] = untrained_control(spec, cell_context, Hooks()).metrics
        mean, std = (tiny_data.mean, tiny_data.std)
        if normalization == "imagenet":
            mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        # Nearest neighbours by an own loop over images that are normalised by hand.
        encoder = untrained_encoder(spec, tiny_data.image_size)
        tokens = {}
        for name, split in (("train", tiny_data.train), ("test", tiny_data.test)):
            pixels = torch.from_numpy(split.images[:]).float() / 255
            pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
            with torch.no_grad():
                tokens[name] = nn.functional.normalize(encoder.encode(pixels, None)[:, 1:].mean(dim=1), dim=1)
        hits = 0
        for token, label in zip(tokens["test"], tiny_data.test.labels, strict=True):
            similarity = tokens["train"] @ token
            nearest = similarity.argsort(descending=True)[:3]
            votes: dict[int, float] = {}
            for index in nearest.tolist():
                vote = torch.exp(similarity[index] / spec.evaluations["knn"].options["temperature"]).item()
                neighbour = int(tiny_data.train.labels[index])
                votes[neighbour] = votes.get(neighbour, 0.0) + vote
            hits += max(votes, key=lambda each: votes[each]) == label
        assert found[normalization]["knn.top1"] == pytest.approx(100 * hits / len(tiny_data.test))
    assert found["data"] != found["imagenet"]


def test_backbones_of_equal_weights_have_controls_of_their_own(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    recipe = {"epochs": 1, "batch_size": 16, "base_lr": 4e-3, "warmup_epochs": 0}
    asked = {"knn": {"k": 3}, "representation": {}, "from_scratch": recipe}
    tree = apply(tiny_spec.to_tree(), ("evaluations",), asked)
    one, two = (resolve(apply(tree, ("backbone", "heads"), heads)) for heads in (1, 2))

    def found(spec: TrialSpec, cache: str, kind: ControlKind) -> CellRecord:
        own = spec if kind == RANDOM_INIT else replace(spec, evaluations=spec.control_evaluations)
        return untrained_control(own, CellContext(tiny_data, Runtime(), tmp_path / cache), Hooks(), kind)

    # How many heads share the width changes no weight, and yet what an encoder computes.
    first, second = found(one, "shared", RANDOM_INIT), found(two, "shared", RANDOM_INIT)
    assert first.weights_sha256 == second.weights_sha256
    assert second.metrics == found(two, "alone", RANDOM_INIT).metrics != first.metrics
    assert found(one, "shared", EVALUATION).folder != found(two, "shared", EVALUATION).folder


def test_an_untrained_encoder_is_judged_once_for_all_variants_that_begin_with_it(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    cell_context = CellContext(tiny_data, Runtime(), tmp_path / "cache")
    tree = apply(tiny_spec.to_tree(), ("evaluations", "representation"), {})
    changes = {"decoder": {"name": "linear"}, "training.epochs": 1, "evaluations.representation": "none"}
    others = [resolve(apply(tree, tuple(key.split(".")), value)) for key, value in changes.items()]
    folder = untrained_control(resolve(tree), cell_context, Hooks()).folder
    assert [untrained_control(other, cell_context, Hooks()).folder for other in others] == [folder] * 3
    pixels = [raw_pixel_control(spec, cell_context, Hooks()).folder for spec in (tiny_spec, *others)]
    assert len({*pixels, folder}) == 2


def test_pixels_are_judged_without_any_encoder_and_without_a_seed(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    cell_context = CellContext(tiny_data, Runtime(), tmp_path / "cache")
    found = raw_pixel_control(tiny_spec, cell_context, Hooks())
    assert found.weights_sha256 == ""
    other = replace(tiny_data, mean=(0.1, 0.2, 0.3))
    assert raw_pixel_control(tiny_spec, replace(cell_context, data=other), Hooks()).folder != found.folder
