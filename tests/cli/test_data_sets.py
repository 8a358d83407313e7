"""Commands on a study of several data sets: all of them, one of them, or a word about which is meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmae_ablate.cli.app import app
from cmae_ablate.errors import UserError
from tests.study.blocks import blocks


def test_a_plan_is_of_each_data_set_and_of_all(tiny_study: Path, tmp_path: Path) -> None:
    path = blocks(tiny_study)
    done = CliRunner().invoke(app, ["plan", str(path), "--out", str(tmp_path)], catch_exceptions=False)
    assert f"{path.stem}-here" in done.stdout
    assert "2 data sets, 8 cells and 10 of controls" in " ".join(done.stdout.split())


def test_plan_and_status_as_json_have_a_record_a_data_set(tiny_study: Path, tmp_path: Path) -> None:
    path = blocks(tiny_study)
    found = {}
    for command in ("plan", "status"):
        arguments = [command, str(path), "--out", str(tmp_path), "--json"]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        found[command] = json.loads(done.stdout)
        assert found[command]["study"] == path.stem
        assert list(found[command]["datasets"]) == ["here", "there"]
    each = found["plan"]["datasets"].values()
    assert found["plan"]["hours"] == pytest.approx(sum(one["hours"] for one in each))
    assert found["status"]["has_run"] is False


def test_a_plan_of_all_data_sets_for_programs_counts_what_is_tuned(tiny_study: Path, tmp_path: Path) -> None:
    path = blocks(tiny_study)
    text = path.read_text().replace("design: one_factor", "design: [one_factor, search]")
    search = "trials: 2, seeds: 3, metric: knn.validation_top1, space: {training.base_lr: [1.0e-3, 2.0e-3]}"
    path.write_text(f"{text}search: {{{search}}}\n")
    arguments = ["plan", str(path), "--out", str(tmp_path), "--json"]
    found = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)
    each = [one["tuning"]["hours"] for one in found["datasets"].values()]
    # Two data sets, two variants, two trials, three seeds.
    assert found["tuning"] == {"trainings": 2 * 2 * 2 * 3, "hours": pytest.approx(sum(each))}


@pytest.mark.parametrize(
    "arguments",
    [["run", "--cell", "linear:0"], ["run", "--import", "trials.csv"], ["report", "--trials", "trials.csv"]],
)
def test_what_is_about_one_data_set_asks_which(
    tiny_study: Path, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "trials.csv").write_text("variant,seed,state\n")
    path, csv = blocks(tiny_study), str(tmp_path / "trials.csv")
    given = [csv if argument == "trials.csv" else argument for argument in arguments]
    with pytest.raises(UserError, match="say which is meant, as in --dataset here"):
        CliRunner().invoke(app, [given[0], str(path), *given[1:]], catch_exceptions=False)
