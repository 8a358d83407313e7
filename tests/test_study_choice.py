"""A whole study whose evaluations offer grids: one setting for all cells, the same in every place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.runner.artifacts import artifacts
from cmae_ablate.runner.experiment import Places
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import open_queue
from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.runner.run import run_study
from tests.tiny import TINY_SCALE, TINY_STUDY
from tests.whole_study import quiet, run, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

PENALTIES = ("0.1", "0.001", "1e-05")


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Options, pd.DataFrame]:
    """A finished study with a probe of three penalties: how it was run, and its trials."""
    folder = tmp_path_factory.mktemp("chosen")
    path, out = write_study(folder), folder / "runs"
    probe = "linear_probe: {l2: [0.1, 0.001, 1.0e-5]}"
    attentive = (
        "attentive_probe: {num_queries: 2, epochs: 2, warmup_epochs: 1.0, batch_size: 16, lr: [0.01, 0.03]}"
    )
    scale = TINY_SCALE.replace("linear_probe: none", f"{probe}, {attentive}")
    (folder / "scales" / "tiny.yaml").write_text(scale)
    path.write_text(TINY_STUDY.replace("metric: knn.top1", "metric: linear_probe.top1"))
    assert run(path, out) == 0
    options = Options(path, workers=1, device="cpu", out=out)
    return options, pd.read_csv(out / "study" / "trials.csv")


def right_predictions(options: Options) -> dict[tuple[str, int], float]:
    """Per cell the percentage of images that the kept predictions count as right."""
    experiment = options.begin(options.load(), quiet())
    found = artifacts(experiment, StudyTrials.of(open_queue(experiment).status()), {}, "")
    return {cell: 100.0 * float(hits.mean()) for cell, hits in found.correct.items()}


def by_cell(trials: pd.DataFrame, column: str) -> dict[tuple[str, int], float]:
    return dict(zip(zip(trials["variant"], trials["seed"], strict=True), trials[column], strict=True))


def test_all_cells_are_read_at_the_penalty_of_best_mean_validation_accuracy(
    chosen: tuple[Options, pd.DataFrame],
) -> None:
    trials = chosen[1]
    means = {l2: trials[f"linear_probe.validation_top1@l2={l2}"].mean() for l2 in PENALTIES}
    best = max(PENALTIES, key=lambda l2: means[l2])
    assert set(trials["linear_probe.l2"]) == {float(best)}
    for metric in ("top1", "validation_top1"):
        read, offered = trials[f"linear_probe.{metric}"], trials[f"linear_probe.{metric}@l2={best}"]
        assert read.tolist() == offered.tolist()
    assert trials["attentive_probe.lr"].nunique() == trials["attentive_probe.weight_decay"].nunique() == 1


def test_controls_are_read_at_the_same_penalty(chosen: tuple[Options, pd.DataFrame]) -> None:
    options, trials = chosen
    controls = pd.read_csv(options.out / "study" / "controls.csv")
    assert set(controls["linear_probe.l2"]) == set(trials["linear_probe.l2"])
    key = f"l2={float(trials['linear_probe.l2'][0])!r}"
    assert controls["linear_probe.top1"].tolist() == controls[f"linear_probe.top1@{key}"].tolist()


def test_runs_in_mlflow_end_with_the_numbers_of_the_table(chosen: tuple[Options, pd.DataFrame]) -> None:
    from mlflow import MlflowClient

    options, trials = chosen
    client = MlflowClient(Places.below(options.out).tracking)
    runs = client.search_runs([client.get_experiment_by_name("study").experiment_id])
    of_cells = {
        run.data.tags["fingerprint"]: run.data.metrics for run in runs if "fingerprint" in run.data.tags
    }
    assert set(of_cells) == set(trials["fingerprint"])
    for row in trials.to_dict("records"):
        logged = of_cells[row["fingerprint"]]
        for name in ("linear_probe.top1", "linear_probe.l2", "attentive_probe.top1", "attentive_probe.lr"):
            assert logged[name.replace(".", "/")] == pytest.approx(row[name], rel=1e-12)
        assert not any("l2=" in name or "l2_" in name for name in logged)
    means = trials.groupby("variant")["linear_probe.top1"].mean()
    summaries = [run.data.metrics for run in runs if run.data.tags["cmae.kind"] == "variant"]
    assert sorted(each["linear_probe/top1"] for each in summaries) == pytest.approx(sorted(means))


def test_the_page_and_the_table_hold_no_other_candidates_numbers(
    chosen: tuple[Options, pd.DataFrame],
) -> None:
    folder = chosen[0].out / "study"
    for name in ("index.html", "table.md", "table.csv", "effects.csv"):
        text = (folder / name).read_text()
        assert "@l2" not in text
    best = chosen[1]["linear_probe.l2"][0]
    assert f"decide nothing. Chosen: l2 {best:g}." in (folder / "index.html").read_text()


def test_predictions_kept_are_those_behind_the_tables_numbers(
    chosen: tuple[Options, pd.DataFrame],
) -> None:
    options, trials = chosen
    assert right_predictions(options) == pytest.approx(by_cell(trials, "linear_probe.top1"))


def test_rows_imported_elsewhere_are_chosen_among_as_at_home(
    chosen: tuple[Options, pd.DataFrame], tmp_path: Path
) -> None:
    options, trials = chosen
    out = tmp_path / "elsewhere"
    csv = options.out / "study" / "trials.csv"
    assert run_study(replace(options, out=out), quiet(), imported=[csv]) == 0
    again = pd.read_csv(out / "study" / "trials.csv")
    for column in (name for name in trials if str(name).startswith(("linear_probe.", "attentive_probe."))):
        assert again[column].tolist() == pytest.approx(trials[column].tolist())


def test_cells_of_one_pretraining_with_other_options_keep_their_own_predictions(tmp_path: Path) -> None:
    """Both runs leave a record called `knn` in the same folder of the cache."""
    path, out = write_study(tmp_path), tmp_path / "runs"
    tables = {}
    for k in (1, 20):
        options = Options(path, workers=1, device="cpu", out=out, settings=(f"evaluations.knn.k={k}",))
        assert run(path, out, settings=options.settings) == 0
        tables[k] = by_cell(pd.read_csv(out / "study" / "trials.csv"), "knn.top1")
        assert right_predictions(options) == pytest.approx(tables[k])
    assert tables[1] != tables[20]
