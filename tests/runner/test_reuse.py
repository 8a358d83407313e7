"""What is done once is not done again, across evaluations, seeds, studies, machines; and who may read it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.cli.status import show_status
from cmae_ablate.runner.experiment import Places
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.stopping import StopFlag
from cmae_ablate.runner.workers import work
from tests.faults.aftermath import statuses
from tests.whole_study import LONGER, optuna_trials, quiet, run, said, start, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
MORE = ("evaluations.nearest={name: knn, k: 1}",)


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of two cells, all of them kept, done by a worker that somebody started by hand."""
    folder = tmp_path_factory.mktemp("worked")
    study, out = write_study(folder), folder / "runs"
    study.write_text(study.read_text() + "keep: all\n")
    before = os.umask(0)
    try:
        assert work(Options(study, seeds=1, device="cpu", out=out), quiet(), StopFlag()) == 0
    finally:
        os.umask(before)
    return study, out


def pretrained(out: Path) -> dict[str, int]:
    """When each pretraining in the cache was finished."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("cache/pretrain/*/result.json")}


def told_by_status(study: Path, out: Path, **options: object) -> str:
    console = quiet()
    show_status(Options(study, device="cpu", out=out, **options), console)  # type: ignore[arg-type]
    return said(console)


def test_whatever_a_worker_writes_only_its_owner_may_read(worked: tuple[Path, Path]) -> None:
    _, out = worked
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (out, *out.rglob("*"))}
    suffixes = {path.suffix for path in modes}
    assert {".db", ".lock", ".safetensors", ".pt", ".npy", ".json", ".png"} <= suffixes
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_a_worker_started_by_hand_leaves_no_run_running(worked: tuple[Path, Path]) -> None:
    assert "RUNNING" not in statuses(Places.below(worked[1]).tracking)


def test_a_study_that_keeps_all_has_its_last_training_states(worked: tuple[Path, Path]) -> None:
    study, out = worked
    kept = sorted(path.name for path in out.glob("cache/pretrain/*/step-*.pt"))
    assert kept == ["step-000000004.pt", "step-000000008.pt", "step-000000008.pt"]  # control, two variants
    told = told_by_status(study, out, seeds=1)
    assert "of it training states" in told
    assert "(0.0 MB of it training states" not in told


def test_an_evaluation_and_a_seed_more_train_only_what_is_new(
    worked: tuple[Path, Path], tmp_path: Path
) -> None:
    study, out = worked[0], tmp_path / "runs"
    shutil.copytree(worked[1], out)
    before = pretrained(out)
    assert run(study, out, settings=MORE) == 0
    after = pretrained(out)
    assert len(before) == 3  # the positive control among them
    assert len(after) == 6
    assert {key: after[key] for key in before} == before
    assert "4 of 4 cells complete, 2 with reused pretraining" in told_by_status(study, out, settings=MORE)
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert trials["nearest.top1"].notna().all()
    assert len([trial for trial in optuna_trials(out) if trial.state.name == "COMPLETE"]) == 6


def test_the_cache_of_another_machine_stands_for_its_work(worked: tuple[Path, Path], tmp_path: Path) -> None:
    study, out = worked[0], tmp_path / "runs"
    shutil.copytree(worked[1] / "cache", out / "cache")
    before = pretrained(out)
    run(study, out, seeds=1)
    assert pretrained(out) == before
    assert "2 of 2 cells complete, 2 with reused pretraining" in told_by_status(study, out, seeds=1)
    assert len(list(out.glob("cache/pretrain/*/knn-*.npy"))) == 3  # with predictions, unlike a CSV


@pytest.mark.slow
@pytest.mark.distributed
def test_two_studies_at_once_share_their_pretraining(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    twin = study.with_name("twin.yaml")
    shutil.copy(study, twin)
    both = [start(each, out) for each in (study, twin)]
    outputs = [process.communicate(timeout=900)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(pretrained(out)) == 6  # two variants and the positive control, with two seeds each
    counts = []
    for each in (study, twin):
        told = told_by_status(each, out, settings=LONGER)
        assert "4 of 4 cells complete" in told
        counts.append(int(told.partition("4 cells complete, ")[2].split()[0]))
    assert sum(counts) == 4  # trained once, whoever came first
