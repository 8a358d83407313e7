"""A whole study, from the file to the table, on a few small scenes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.files import read_record, sealed
from cmae_ablate.runner.experiment import Places
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.repeat_cell import repeat_cell
from cmae_ablate.runner.reporting import report_again
from cmae_ablate.runner.run import run_study
from tests.tiny import TINY_STUDY
from tests.whole_study import (
    LONGER,
    optuna_trials,
    quiet,
    run,
    start,
    wait_for_a_checkpoint,
    write_study,
)

CONTRACT_FILES = (
    "trials.csv",
    "controls.csv",
    "table.csv",
    "table.md",
    "table.tex",
    "table.png",
    "analysis_plan.json",
    "answer.json",
    "control_effects.csv",
    "effects.csv",
    "effects.png",
    "index.html",
)
# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study that ran undisturbed: its file and its `--out`."""
    folder = tmp_path_factory.mktemp("finished")
    study, out = write_study(folder), folder / "runs"
    assert run(study, out) == 0
    return study, out


def test_every_file_of_the_contract_is_written(finished: tuple[Path, Path]) -> None:
    _, out = finished
    assert [name for name in CONTRACT_FILES if not (out / "study" / name).stat().st_size] == []


def test_trials_have_a_row_a_cell_with_the_columns_of_the_contract(finished: tuple[Path, Path]) -> None:
    trials = pd.read_csv(finished[1] / "study" / "trials.csv")
    assert list(zip(trials["variant"], trials["seed"], strict=True)) == [
        ("depth 1", 0),
        ("linear", 0),
        ("depth 1", 1),
        ("linear", 1),
    ]
    assert set(trials["state"]) == {"COMPLETE"}
    columns = {"decoder", "knn.top1", "pretrain.loss", "params.encoder", "params.decoder", "fingerprint"}
    columns |= {"flops.pretrain_image", "seconds.pretrain", "weights_sha256"}
    assert columns <= set(trials.columns)
    assert trials["weights_sha256"].nunique() == 4
    assert trials["fingerprint"].nunique() == 4


def test_the_report_names_a_cell_whose_encoder_collapsed(finished: tuple[Path, Path]) -> None:
    study, out = finished
    weights = pd.read_csv(out / "study" / "trials.csv")["weights_sha256"][0]
    records = {path: read_record(path) for path in (out / "cache" / "pretrain").glob("*/result.json")}
    path = next(path for path, record in records.items() if record["weights_sha256"] == weights)
    before = path.read_bytes()
    path.write_bytes(sealed({**records[path], "warning": "features have collapsed"}))
    try:
        assert report_again(Options(study, device="cpu", out=out), quiet()) == 0
    finally:
        path.write_bytes(before)
    page = (out / "study" / "index.html").read_text()
    assert len(re.findall(r"seed \d: features have collapsed", page)) == 1


def test_optuna_has_a_complete_trial_a_cell(finished: tuple[Path, Path]) -> None:
    trials = optuna_trials(finished[1])
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    assert {trial.params["decoder"] for trial in trials} == {"depth 1", "linear"}


def test_mlflow_has_study_variant_and_seed_all_finished(finished: tuple[Path, Path]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(Places.below(finished[1]).tracking)
    experiment = client.get_experiment_by_name("study")
    assert experiment is not None
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parents = {key: run.data.tags.get("mlflow.parentRunId") for key, run in runs.items()}
    roots = [key for key, parent in parents.items() if parent is None]
    variants = [key for key, parent in parents.items() if parent in roots]
    seeds = [key for key, parent in parents.items() if parent in variants]
    assert (len(roots), len(variants), len(seeds)) == (1, 2, 4)
    assert all({"knn/top1", "seeds"} <= set(runs[key].data.metrics) for key in variants)
    assert all("pretrain/loss" in runs[key].data.metrics for key in seeds)
    assert all(client.list_artifacts(key, "pictures") for key in seeds)
    for key in seeds:
        stated = json.loads(Path(client.download_artifacts(key, "protocols.json")).read_text())
        assert "3-NN" in stated["knn"]
        assert "mean patch token after the encoder's final norm" in stated["knn"]


def test_the_caption_of_the_table_states_the_protocol(finished: tuple[Path, Path]) -> None:
    text = (finished[1] / "study" / "table.md").read_text()
    assert "3-NN by cosine similarity" in text
    assert "mean patch token after the encoder's final norm, whole images, scaled to unit length" in text


def _shown(number: float) -> str:
    """As the page's table of cells rounds: whole numbers are left whole."""
    return f"{number:.6g}" if isinstance(number, float) else str(number)


def test_table_page_csv_and_mlflow_hold_the_same_numbers(finished: tuple[Path, Path]) -> None:
    from mlflow import MlflowClient

    folder = finished[1] / "study"
    trials = pd.read_csv(folder / "trials.csv")
    page, markdown = ((folder / name).read_text() for name in ("index.html", "table.md"))
    client = MlflowClient(Places.below(finished[1]).tracking)
    runs = client.search_runs([client.get_experiment_by_name("study").experiment_id])
    groups = [run.data.metrics for run in runs if run.data.tags["cmae.kind"] == "variant"]
    numbers = trials.select_dtypes("number").columns.drop("seed")
    table = pd.read_csv(folder / "table.csv").set_index("variant")
    effects = pd.read_csv(folder / "effects.csv").set_index("variant")
    cells = re.findall(
        r"<tr[^>]*><th scope=\"row\"[^>]*>([^<]+)</th><td[^>]*>(\d+)</td><td[^>]*>COMPLETE</td>(.*?)</tr>",
        page,
    )
    assert [(variant, int(seed)) for variant, seed, _ in cells] == sorted(
        zip(trials["variant"], trials["seed"], strict=True)
    )
    for variant, seed, rest in cells:
        [row] = trials[(trials["variant"] == variant) & (trials["seed"] == int(seed))].to_dict("records")
        shown = re.findall(r"<td[^>]*>([^<]*)</td>", rest)
        assert {_shown(row[name]) for name in numbers} <= set(shown)
        [link] = re.findall(r"/runs/(\w+)\?workflowType=machine_learning", rest)
        logged = client.get_run(link).data.metrics
        assert {name: logged[name.replace(".", "/", 1)] for name in numbers} == pytest.approx(
            {name: row[name] for name in numbers}, rel=1e-12
        )
    for variant, rows in trials.groupby("variant"):
        mean, spread = rows["knn.top1"].mean(), rows["knn.top1"].std()
        rounded = f"{mean:.2f} \u00b1 {spread:.2f}"
        assert rounded in page
        assert rounded in markdown
        for frame in (table, effects):
            assert frame.loc[variant, ["mean", "std"]].tolist() == pytest.approx([mean, spread], rel=1e-12)
        loss = pytest.approx(rows["pretrain.loss"].mean(), rel=1e-12)
        [group] = [metrics for metrics in groups if metrics["pretrain/loss"] == loss]
        assert (group["knn/top1"], group["knn/top1.std"]) == pytest.approx((mean, spread), rel=1e-12)
        assert group["seeds"] == len(rows)


def test_the_same_variant_under_two_names_is_trained_once_and_differs_by_exactly_zero(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    study.write_text(TINY_STUDY.replace("linear: {name: linear}", "the same: {name: transformer, depth: 1}"))
    assert run(study, out) == 0
    effects = pd.read_csv(out / "study" / "effects.csv").set_index("variant")
    found = effects.loc["the same", ["n", "delta", "ci_low", "ci_high"]].tolist()
    assert found == [2, 0.0, 0.0, 0.0]
    assert effects.loc["the same", "verdict"] == "identical: the same weights in every seed"
    assert "identical, the same weights in 2 paired seeds" in (out / "study" / "index.html").read_text()
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert trials["weights_sha256"].nunique() == 2
    of_controls = 2  # the positive control's, one a seed
    assert len(list((out / "cache" / "pretrain").iterdir())) == 2 + of_controls


def test_a_damaged_plan_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    plan = out / "study" / "analysis_plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text('{"question": "Does the dec')
    with pytest.raises(UserError, match=r"analysis_plan\.json: damaged .* move it aside"):
        run(study, out)
    assert [path.name for path in out.rglob("*")] == ["study", "analysis_plan.json"]


def test_the_same_command_again_trains_nothing(finished: tuple[Path, Path]) -> None:
    study, out = finished
    before = (out / "study" / "trials.csv").read_bytes()
    assert run(study, out) == 0
    assert len(optuna_trials(out)) == 4
    assert (out / "study" / "trials.csv").read_bytes() == before


def test_a_cell_repeated_from_nothing_has_the_recorded_weights(finished: tuple[Path, Path]) -> None:
    study, out = finished
    options = Options(study, workers=1, device="cpu", out=out)
    assert repeat_cell(options, "linear:1", quiet()) == 0


def test_complete_rows_can_be_imported_elsewhere(finished: tuple[Path, Path], tmp_path: Path) -> None:
    study, out = finished
    elsewhere = tmp_path / "elsewhere"
    options = Options(study, workers=1, device="cpu", out=elsewhere)
    table = out / "study" / "trials.csv"
    assert run_study(options, quiet(), [Path(os.path.relpath(table))]) == 0
    # One file is one machine, by whatever path it was given.
    cells = [trial for trial in optuna_trials(elsewhere) if trial.state.name == "COMPLETE"]
    assert [trial.user_attrs["origin"] for trial in cells] == [str(table.resolve())] * 4
    mine, theirs = (pd.read_csv(place / "study" / "trials.csv") for place in (elsewhere, out))
    pd.testing.assert_frame_equal(mine[theirs.columns], theirs, check_dtype=False)
    trained = [json.loads(path.read_text()) for path in elsewhere.glob("cache/pretrain/*/result.json")]
    # A CSV of cells holds no controls: they are trained here, the positive one for a single epoch.
    assert sorted((each["seed"], each["spec"]["training"]["epochs"]) for each in trained) == [(0, 1), (1, 1)]
    controls = [pd.read_csv(place / "study" / "controls.csv") for place in (elsewhere, out)]
    assert list(controls[0]["weights_sha256"][:2]) == list(controls[1]["weights_sha256"][:2])


def test_more_seeds_only_add(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    assert run(study, out, seeds=1) == 0
    first = pd.read_csv(out / "study" / "trials.csv")
    assert run(study, out) == 0
    both = pd.read_csv(out / "study" / "trials.csv")
    assert len(optuna_trials(out)) == 4
    pd.testing.assert_frame_equal(both[both["seed"] == 0].reset_index(drop=True), first)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_stopped_study_goes_on_with_the_same_command_and_ends_alike(
    number: signal.Signals, status: int, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out)
    wait_for_a_checkpoint(out, process)
    (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == status, output
    complete = [trial.number for trial in optuna_trials(out) if trial.state.name == "COMPLETE"]

    assert run(study, out, settings=LONGER) == 0
    mine = pd.read_csv(out / "study" / "trials.csv")
    assert list(mine["weights_sha256"]) == list(undisturbed["weights_sha256"])
    assert list(mine["knn.top1"]) == list(undisturbed["knn.top1"])
    done = [trial for trial in optuna_trials(out) if trial.state.name == "COMPLETE"]
    assert len(done) == 4
    assert set(complete) <= {trial.number for trial in done}  # nothing complete was repeated


def test_a_cell_that_fails_for_good_is_named_and_the_rest_is_reported(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    text = TINY_STUDY[: TINY_STUDY.index("factors:")] + (
        "factors:\n  rate:\n    path: training.base_lr\n    levels: {good: 1.0e-3, wild: 1.0e+30}\n"
        "reference: {rate: good}\nseeds: 1\nmetric: knn.top1\n"
    )
    study.write_text(text)
    console = quiet()
    assert run_study(Options(study, workers=1, device="cpu", out=out), console) == 1
    trials = pd.read_csv(out / "study" / "trials.csv").set_index("variant")
    assert dict(trials["state"]) == {"good": "COMPLETE", "wild": "FAILED"}
    assert (out / "study" / "index.html").is_file()
    assert isinstance(console.file, io.StringIO)
    said = " ".join(console.file.getvalue().split())
    assert "failed: wild, seed 0: DivergedError: loss is nan" in said
    assert "lower training.base_lr" in (out / "study" / "logs" / "worker-0.log").read_text()
