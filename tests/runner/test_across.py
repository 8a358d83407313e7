"""One summary of several studies, each from its queue or from a `trials.csv` that lies there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate import report
from cmae_ablate.components.datasets.scenes import Scenes
from cmae_ablate.errors import UserError
from cmae_ablate.report.frame import ReportFiles
from cmae_ablate.runner.across import SUMMARY, part_of, report_across
from cmae_ablate.runner.options import Options
from tests.tiny import TINY_SCALE, TINY_STUDY
from tests.whole_study import quiet

ROWS = [("depth 1", 0, 31.0), ("linear", 0, 28.0), ("depth 1", 1, 33.0), ("linear", 1, 29.0)]


def studies(folder: Path) -> list[Options]:
    (folder / "scales").mkdir()
    (folder / "scales" / "tiny.yaml").write_text(TINY_SCALE)
    found = []
    for name in ("first", "second"):
        (folder / f"{name}.yaml").write_text(TINY_STUDY)
        found.append(Options(folder / f"{name}.yaml", workers=1, device="cpu", out=folder / "runs"))
    return found


def copy_results(options: Options, states: str) -> None:
    folder = options.out / Path(options.study).stem
    folder.mkdir(parents=True)
    lines = [
        f"{variant},{seed},{state},{variant},{value}"
        for (variant, seed, value), state in zip(ROWS, states.split(), strict=True)
    ]
    (folder / "trials.csv").write_text("\n".join(["variant,seed,state,decoder,knn.top1", *lines]) + "\n")


def test_results_copied_from_another_machine_are_summed_up_without_a_queue(tmp_path: Path) -> None:
    first, second = studies(tmp_path)
    copy_results(first, "COMPLETE COMPLETE COMPLETE COMPLETE")
    copy_results(second, "COMPLETE COMPLETE COMPLETE COMPLETE")
    assert report_across([first, second], quiet()) == 0
    summary = pd.read_csv(first.out / SUMMARY / "summary.csv")
    assert set(summary["study"]) == {"first", "second"}
    linear = summary[summary["variant"] == "linear"]
    assert list(linear["delta"]) == pytest.approx([-3.5, -3.5])  # the mean of 28 - 31 and 29 - 33
    assert not (first.out / "optuna.db").exists()


def test_an_incomplete_cell_of_any_study_is_told_by_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ReportFiles({}, "no answer", (("variant",), ("linear",)), ())
    monkeypatch.setattr(report, "combine", lambda parts, folder: shown, raising=False)
    first, second = studies(tmp_path)
    copy_results(first, "COMPLETE COMPLETE COMPLETE COMPLETE")
    copy_results(second, "COMPLETE COMPLETE COMPLETE FAILED")
    assert report_across([first, second], quiet()) == 1


def test_a_study_of_which_nothing_ran_is_named_with_the_command_that_runs_it(tmp_path: Path) -> None:
    first, second = studies(tmp_path)
    copy_results(first, "COMPLETE COMPLETE COMPLETE COMPLETE")
    with pytest.raises(UserError, match=r"nothing of second is complete.*cmae-ablate run .*second\.yaml"):
        report_across([first, second], quiet())


def test_a_part_of_a_summary_brings_its_data_sets_caveat_and_what_was_left_out(tmp_path: Path) -> None:
    first, _ = studies(tmp_path)
    copy_results(first, "COMPLETE COMPLETE COMPLETE COMPLETE")
    foreign = "control,variant,seed,linear_probe.top1\nrandom init,depth 1,0,9.0\n"
    (first.out / "first" / "controls.csv").write_text(foreign)
    found = part_of(first, quiet())
    assert found.controls is None
    (note,) = found.notes
    assert "controls.csv left out, it is of another study" in note
    assert found.description.caveat == Scenes.caveat
