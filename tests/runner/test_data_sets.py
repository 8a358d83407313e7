"""A study on several data sets from file to pooled page, and seeds with draws of their own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import cmae_ablate as ca
from cmae_ablate.database import sqlite_url
from cmae_ablate.errors import UserError
from cmae_ablate.report import csv_fields
from cmae_ablate.runner import run
from cmae_ablate.runner.data_sets import (
    check_images,
    report_data_sets,
    report_pooled,
    run_data_sets,
    track_pooled_report,
)
from cmae_ablate.runner.experiment import Experiment, controls_of
from cmae_ablate.runner.options import Options
from cmae_ablate.terminal import open_console
from cmae_ablate.tracking.connection import connect
from tests.tiny import TINY_STUDY

if TYPE_CHECKING:
    from mlflow.entities import Run

BLOCKS = (
    "datasets:\n  here: {name: scenes}\n  there: {name: scenes, seed: 1}\n  far: {name: scenes, seed: 2}\n"
)
QUICK = "positive_control: none\n"


def begun(path: Path, out: Path, dataset: str | None = None) -> Experiment:
    options = Options(path, out=out, dataset=dataset)
    return options.begin(options.load(), open_console())


def copied(folder: Path, differences: tuple[float, float]) -> None:
    """Lay down a data set's `trials.csv` as another machine would have left it."""
    folder.mkdir(parents=True)
    rows = [
        f"{variant},{seed},COMPLETE,{variant},{30 + seed + (d if variant == 'linear' else 0)}"
        for seed, d in enumerate(differences)
        for variant in ("depth 1", "linear")
    ]
    (folder / "trials.csv").write_text("\n".join(["variant,seed,state,decoder,knn.top1", *rows]) + "\n")


def runs_of(out: Path, study: str) -> dict[str, Run]:
    """The runs of a study's experiment, by name."""
    client = connect(sqlite_url(out / "mlflow.db"))
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    return {str(run.info.run_name): run for run in client.search_runs([experiment.experiment_id])}


def all_copied(study: Path, out: Path) -> None:
    """Make it a study on three data sets, each with a copied `trials.csv`."""
    study.write_text(TINY_STUDY + BLOCKS + QUICK)
    for label in ("here", "there", "far"):
        copied(out / f"{study.stem}-{label}", (-2.0, -1.0))


def report_in_mlflow(out: Path, study: str) -> Path:
    return Path(runs_of(out, study)[study].info.artifact_uri.removeprefix("file://")) / "report"


def test_a_study_runs_on_each_data_set_and_is_pooled_in_a_page_of_its_own(
    tiny_study: Path, tmp_path: Path
) -> None:
    tiny_study.write_text(TINY_STUDY + BLOCKS + QUICK)
    study = ca.load_study(tiny_study, settings={"training.epochs": 1})
    result = study.run(out=tmp_path, workers=1, device="cpu")
    assert result.folder == tmp_path / study.name == tmp_path / tiny_study.stem
    assert result.trials.groupby("dataset").size().to_dict() == {"here": 4, "there": 4, "far": 4}
    # Each block is a study of its own, whose cells are those in the page over all.
    for label in ("here", "there", "far"):
        own = pd.read_csv(tmp_path / f"{study.name}-{label}" / "trials.csv")
        rows = result.trials[result.trials["dataset"] == label]
        assert own["fingerprint"].tolist() == rows["fingerprint"].tolist()
        assert own["knn.top1"].tolist() == rows["knn.top1"].tolist()
    assert result.answer["pooled"] is True
    (verdict,) = result.answer["verdicts"]
    means = [
        ca.load_result(f"{study.name}-{label}", out=tmp_path).effects["delta"].iloc[1]
        for label in ("here", "there", "far")
    ]
    assert verdict["delta"] == pytest.approx(sum(means) / 3)
    plan = json.loads((tmp_path / f"{study.name}-far" / "analysis_plan.json").read_text())
    assert plan["study"]["datasets"] == ["here", "there", "far"]
    kept = report_in_mlflow(tmp_path, study.name)
    assert (kept / "index.html").read_bytes() == (result.folder / "index.html").read_bytes()


def test_the_page_over_all_data_sets_is_kept_in_mlflow_as_a_study_of_its_own(
    tiny_study: Path, tmp_path: Path
) -> None:
    tiny_study.write_text(TINY_STUDY + BLOCKS + QUICK)
    out, name = tmp_path / "out", tiny_study.stem
    for label, differences in {"here": (-1.9, -2.1), "there": (-3.2, -2.8), "far": (-4.0, -4.0)}.items():
        copied(out / f"{name}-{label}", differences)
    options, console = Options(tiny_study, out=out), open_console()
    for _ in range(2):  # the second time, in the very same runs
        pooled = report_pooled(options.parts, console)
        assert pooled is not None
        files = pooled.files
        track_pooled_report(options, files, "FINISHED", console)
    runs = runs_of(out, name)
    assert set(runs) == {name, "depth 1", "linear"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    study, linear = runs[name], runs["linear"]
    assert linear.data.tags["mlflow.parentRunId"] == study.info.run_id
    # Means -2, -3 and -4: their mean -3, deviation 1; t of 2 degrees of freedom is 4.302653.
    assert linear.data.metrics["effect/delta"] == pytest.approx(-3.0)
    assert linear.data.metrics["effect/ci_low"] == pytest.approx(-3 - 4.302653 / 3**0.5, rel=1e-6)
    assert linear.data.metrics["effect/prediction_low"] == pytest.approx(-3 - 4.302653 * (4 / 3) ** 0.5)
    assert linear.data.tags["verdict"] == "lower than depth 1"
    assert "on the mean over data sets of this kind" in study.data.tags["mlflow.note.content"]
    assert study.data.tags["pools"] == f"{name}-here, {name}-there, {name}-far"
    kept = report_in_mlflow(out, name)
    assert {file.name for file in kept.iterdir()} == {*files.paths}
    for file in ("index.html", "answer.json", "pooled.csv", "table.md"):
        assert (kept / file).read_bytes() == (out / name / file).read_bytes()


def test_workers_that_nobody_waits_for_leave_the_page_to_the_command_that_finds_nothing_left(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, name = tmp_path / "out", tiny_study.stem
    all_copied(tiny_study, out)
    monkeypatch.setattr("cmae_ablate.runner.run.run_study", lambda *_, **__: 0)
    monkeypatch.setattr("cmae_ablate.runner.data_sets.check_images", lambda *_: None)
    options = Options(tiny_study, out=out, launcher="slurm", no_wait=True)
    assert run_data_sets(options, open_console()) == 0
    assert not (out / name).exists()
    monkeypatch.setattr("cmae_ablate.runner.data_sets.read_queue", lambda _: [])
    assert run_data_sets(options, open_console()) == 0
    assert (out / name / "index.html").is_file()


def test_what_was_copied_is_pooled_and_a_cell_without_a_row_is_not_complete(
    tiny_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, name = tmp_path / "out", tiny_study.stem
    all_copied(tiny_study, out)
    options, console = Options(tiny_study, out=out), open_console()
    assert report_data_sets(options, console) == 0
    assert "run it first" not in capsys.readouterr().out
    trials = out / f"{name}-far" / "trials.csv"
    trials.write_text("".join(trials.read_text().splitlines(keepends=True)[:-1]))
    assert report_data_sets(options, console) == 1


def test_each_copied_file_is_read_once_and_one_without_results_leaves_the_others_reported(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, name = tmp_path / "out", tiny_study.stem
    all_copied(tiny_study, out)
    read: Counter[Path] = Counter()
    reading = csv_fields.read_regular
    monkeypatch.setattr(
        csv_fields, "read_regular", lambda path, most: read.update([path]) or reading(path, most)
    )
    options, console = Options(tiny_study, out=out), open_console()
    assert report_data_sets(options, console) == 0
    assert read == {out / f"{name}-{label}" / "trials.csv": 1 for label in ("here", "there", "far")}
    empty = out / f"{name}-here" / "trials.csv"
    empty.write_text(empty.read_text().replace("COMPLETE", "FAILED"))
    with console.capture() as said:
        assert report_data_sets(options, console) == 1
    assert f"nothing of {name}-here is complete" in " ".join(said.get().split())


def test_a_study_on_one_data_set_is_run_and_reported_by_the_same_calls(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, console, asked = Options(tiny_study, out=tmp_path / "runs"), open_console(), []
    monkeypatch.setattr(run, "run_study", lambda *given, **named: asked.append((given, named)) or 7)
    assert run_data_sets(options, console, (tmp_path / "trials.csv",), owns_process=True) == 7
    assert asked == [((options, console, (tmp_path / "trials.csv",)), {"owns_process": True})]
    with console.capture() as said:
        assert report_data_sets(options, console) == 1
    assert said.get().startswith("tiny_study: nothing is complete yet")
    assert "all data sets" not in said.get()  # there is no page over one


def test_the_same_images_under_two_labels_are_refused_wherever_they_lie(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_study.write_text(TINY_STUDY + BLOCKS + QUICK)
    parts = Options(tiny_study, out=tmp_path).parts
    first = parts[0].begin(parts[0].load(), open_console())
    # Two folders with the same content have one digest: as if `there` were a copy of `here`.
    monkeypatch.setattr(Options, "begin", lambda *_, **__: first)
    with pytest.raises(UserError, match="its images are those of"):
        check_images(parts, open_console(), lambda _: None)


def test_each_seed_draws_images_of_its_own_which_all_its_variants_share(
    tiny_study: Path, tmp_path: Path
) -> None:
    tiny_study.write_text(TINY_STUDY + "redraw_data: true\n")
    experiment = begun(tiny_study, tmp_path)
    digests = {
        (cell.variant.label, cell.seed): experiment.data_of(cell.spec).digest for cell in experiment.cells
    }
    for seed in (0, 1):
        assert digests["depth 1", seed] == digests["linear", seed]
    assert digests["depth 1", 0] != digests["depth 1", 1]
    controls = [(c.variant.label, c.seed) for c in controls_of(experiment).cells]
    assert ("raw pixels", 0) in controls
    assert ("raw pixels", 1) in controls
    assert len({cell.fingerprint for cell in experiment.planned}) == 4


def test_the_first_draw_is_the_study_without_draws(tiny_study: Path, tmp_path: Path) -> None:
    fixed = begun(tiny_study, tmp_path)
    tiny_study.write_text(TINY_STUDY + "redraw_data: true\n")
    drawn = begun(tiny_study, tmp_path)
    own, same = ([c.fingerprint for c in each.planned if c.seed == 0] for each in (drawn, fixed))
    assert own == same


def test_seeds_with_draws_of_their_own_have_no_second_interval_over_images(
    tiny_study: Path, tmp_path: Path
) -> None:
    tiny_study.write_text(TINY_STUDY + "redraw_data: true\n" + QUICK)
    study = ca.load_study(tiny_study, settings={"training.epochs": 1})
    result = study.run(out=tmp_path, workers=1, device="cpu")
    assert "two_way_low" not in result.effects or result.effects["two_way_low"].isna().all()
    assert "intervals cover new draws of the data" in result.answer["text"]
    pixels = result.controls[result.controls["control"] == "raw pixels"]
    assert pixels["seed"].tolist() == [0, 1]
    assert "which cover new draws of the data" in (result.folder / "table.md").read_text()
