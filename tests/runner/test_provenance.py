"""Results of other settings, or of another study of the same name, in one `--out`: said, and kept."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock, Timeout

from cmae_ablate.cli.status import show_status
from cmae_ablate.files import DamagedError
from cmae_ablate.runner import run as run_module
from cmae_ablate.runner.cache import entries
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.housekeeping import prune_cache
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.provenance import (
    LOCK,
    RECORD,
    of_other_options,
    read_provenance,
    report_folder,
    settle_folder,
)
from cmae_ablate.runner.reporting import report_again
from cmae_ablate.runner.run import run_study
from tests.tiny import TINY_STUDY
from tests.whole_study import quiet, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SHORTER = ("training.epochs=1",)


@pytest.fixture(autouse=True)
def _without_positive_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pretraining is not what these tests are about."""
    monkeypatch.setattr("tests.whole_study.TINY_STUDY", f"{TINY_STUDY}positive_control: none\n")


def told_by(study: Path, out: Path, seeds: int = 1, settings: tuple[str, ...] = ()) -> str:
    console = quiet()
    options = Options(study, workers=1, device="cpu", out=out, seeds=seeds, settings=settings)
    assert run_study(options, console) == 0
    return said(console)


def trials(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "trials.csv")


def previous(out: Path) -> list[Path]:
    return sorted(out.glob("study/previous-*"))


def test_other_settings_are_said_and_the_report_before_is_kept(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    assert "made otherwise" not in told_by(study, out)
    first = trials(out / "study")
    table = (out / "study" / "table.md").read_text()
    told = told_by(study, out, settings=SHORTER)
    assert "made otherwise (--set training.epochs=1 was not there)" in told
    assert "note: 2 finished cells of variants and seeds still to do are not taken; they stay stored" in told
    (kept,) = previous(out)
    assert f"that report is kept in {kept.name}/" in told
    pd.testing.assert_frame_equal(trials(kept), first)
    assert (kept / "table.md").read_text() == table
    assert json.loads((kept / RECORD).read_text())["settings"] == []
    assert not set(trials(out / "study")["fingerprint"]) & set(first["fingerprint"])

    console = quiet()
    show_status(Options(study, device="cpu", out=out, seeds=1), console)
    status = said(console)  # of the options that ran first: their cells are there
    assert "made otherwise (there was --set training.epochs=1)" in status
    assert "--set training.epochs=1 --seeds 1" in status
    assert "2 of 2 cells complete" in status

    console = quiet()
    other = Options(study, device="cpu", out=out, seeds=1, settings=("training.epochs=3",))
    show_status(other, console)
    status = said(console)
    assert "nothing has run with the options given now" in status
    assert "cmae-ablate status" in status
    assert "0 of" not in status

    console = quiet()
    assert report_again(Options(study, device="cpu", out=out, seeds=1), console) == 0
    pd.testing.assert_frame_equal(trials(out / "study"), first)
    assert len(previous(out)) == 2


def test_more_seeds_only_add_and_fewer_keep_the_larger_report(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    told_by(study, out)
    assert "made otherwise" not in told_by(study, out, seeds=2)
    assert previous(out) == []
    assert "there were 2 seeds" in told_by(study, out, seeds=1)
    (kept,) = previous(out)
    assert len(trials(kept)) == 4
    assert len(trials(out / "study")) == 2


def test_a_report_that_another_command_wrote_meanwhile_is_kept_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    trains, theirs = run_module.work_through, []

    def train_while_another_command_runs(*args: object, **kwargs: object) -> int:
        monkeypatch.setattr(run_module, "work_through", trains)
        theirs.append(told_by(study, out, settings=SHORTER))
        return trains(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "work_through", train_while_another_command_runs)
    told = told_by(study, out)
    assert "note: the results" in theirs[0]  # it began second
    assert "is kept" not in theirs[0]
    (kept,) = previous(out)
    assert "made otherwise (there was --set training.epochs=1)" in told
    assert f"that report is kept in {kept.name}/, repeated by: cmae-ablate run {study}" in told
    assert not set(trials(kept)["fingerprint"]) & set(trials(out / "study")["fingerprint"])
    assert json.loads((kept / RECORD).read_text())["settings"] == list(SHORTER)
    assert json.loads((out / "study" / RECORD).read_text())["settings"] == []


def test_a_folder_whose_report_is_being_written_is_waited_for(tmp_path: Path) -> None:
    options = Options(write_study(tmp_path), device="cpu", out=tmp_path / "runs")
    experiment = options.begin(options.load(), quiet())
    with report_folder(experiment, options) as told:
        assert told == []
        with pytest.raises(Timeout):
            FileLock(experiment.folder / LOCK).acquire(timeout=0)
    assert settle_folder(experiment, options) == []


def test_the_command_that_was_given_is_not_offered_where_components_or_data_are_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(write_study(tmp_path), device="cpu", out=tmp_path / "runs")
    experiment = options.begin(options.load(), quiet())
    settle_folder(experiment, options)
    monkeypatch.setattr(Experiment, "fingerprint", lambda self, spec: f"of a later version {spec.seed}")
    vague = "made otherwise (the study file, the data or the version of a component was another)"
    told = of_other_options(experiment, options)
    assert told.endswith(vague)
    (note,) = settle_folder(experiment, options)
    assert note.endswith(vague)


def test_two_studies_of_one_name_keep_their_reports_and_their_weights(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    mine, theirs = write_study(tmp_path / "mine"), write_study(tmp_path / "theirs")
    theirs.write_text(theirs.read_text() + "set: {training: {epochs: 1}}\n")
    told_by(mine, out)
    first = trials(out / "study")
    told = told_by(theirs, out)
    assert f"the study file was {mine}" in told
    pd.testing.assert_frame_equal(trials(previous(out)[0]), first)
    assert [entry.is_unused for entry in entries(out)] == [False] * 4
    console = quiet()
    prune_cache(out, True, None, False, console)
    assert "freed 0.0 MB" in said(console)
    assert len(list(out.glob("cache/pretrain/*/model.safetensors"))) == 4
    told_by(mine, out)
    pd.testing.assert_frame_equal(trials(out / "study"), first)


@pytest.mark.parametrize("content", ["", "[]", '{"study": 1}', '{"seeds": true}'])
def test_a_damaged_record_is_named(content: str, tmp_path: Path) -> None:
    assert read_provenance(tmp_path) is None
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(DamagedError, match=RECORD):
        read_provenance(tmp_path)
