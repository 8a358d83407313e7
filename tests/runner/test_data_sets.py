"""A study on several data sets from file to pooled page, and seeds with draws of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import cmae_ablate as ca
from cmae_ablate.errors import UserError
from cmae_ablate.runner import run
from cmae_ablate.runner.data_sets import check_images, report_data_sets, run_data_sets
from cmae_ablate.runner.experiment import Experiment, controls_of
from cmae_ablate.runner.options import Options
from cmae_ablate.terminal import open_console
from tests.tiny import TINY_STUDY

BLOCKS = (
    "datasets:\n  here: {name: scenes}\n  there: {name: scenes, seed: 1}\n  far: {name: scenes, seed: 2}\n"
)
QUICK = "positive_control: none\n"


def begun(path: Path, out: Path, dataset: str | None = None) -> Experiment:
    options = Options(path, out=out, dataset=dataset)
    return options.begin(options.load(), open_console())


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
