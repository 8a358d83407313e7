"""`run --launcher slurm` as a user meets it, with an sbatch that only writes down how it was called."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner.launch import network_files
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from cmae_ablate.runner.stopping import StopFlag
from cmae_ablate.runner.workers import work
from tests.runner.launch.fake_slurm import FakeSlurm
from tests.whole_study import optuna_trials, quiet, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path / "bin", monkeypatch)


def slurm(study: Path, **others: object) -> Options:
    return Options(study, out=study.parent / "ru ns", launcher="slurm", no_wait=True, **others)  # type: ignore[arg-type]


def test_no_wait_submits_and_says_how_to_follow_cancel_and_go_on(fake: FakeSlurm, tmp_path: Path) -> None:
    console = quiet()
    options = slurm(write_study(tmp_path), slurm=("time=04:00:00",), device="cuda")  # no GPU needed here
    assert run_study(options, console) == 0
    text = said(console)
    assert "submitted Slurm job 7" in text
    assert "'squeue --jobs=7'" in text
    assert "'scancel 7'" in text
    for command in ("status", "report"):
        assert f"cmae-ablate {command} {options.study} --device cuda --out '{options.out}'" in text
    (arguments,) = fake.calls("sbatch")
    assert "--time=04:00:00" in arguments
    assert "--array=0-8" in arguments  # as many as there are cells: four, and five of controls
    assert f"--out '{options.out}'" in arguments[-1]
    assert "CMAE_ABLATE_BEGUN_WITH" in fake.environment()
    assert "CMAE_ABLATE_FOLLOW_PARENT" not in fake.environment()
    assert optuna_trials(options.out) == []
    assert not (options.out / "study" / "trials.csv").exists()


@pytest.mark.slow
def test_once_nothing_is_left_the_same_command_writes_the_tables_and_submits_nothing(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    options = slurm(write_study(tmp_path), seeds=1)
    assert run_study(options, quiet()) == 0
    # What a task does.
    assert work(Options(options.study, seeds=1, device="cpu", out=options.out), quiet(), StopFlag()) == 0
    assert run_study(options, quiet()) == 0
    assert len(fake.calls("sbatch")) == 1
    assert (options.out / "study" / "trials.csv").exists()


def test_workers_of_a_job_that_nobody_waits_for_tune_and_train(fake: FakeSlurm, tmp_path: Path) -> None:
    study = write_study(tmp_path)
    text = study.read_text().replace("design: one_factor", "design: [search, one_factor]")
    rates = "{training.base_lr: {low: 1.0e-4, high: 1.0e-2, log: true}}"
    study.write_text(f"{text}search: {{trials: 2, metric: knn.validation_top1, space: {rates}}}\n")
    assert run_study(slurm(study, workers=2), quiet()) == 0
    (arguments,) = fake.calls("sbatch")
    assert "--array=0-1" in arguments
    assert "CMAE_ABLATE_SEARCH_ONLY" not in fake.environment()


@pytest.mark.parametrize("launcher", ["slurm", "ray"])
def test_sqlite_on_a_network_file_system_is_refused_before_anything_is_made(
    fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")  # a cluster that may have several machines
    options = replace(slurm(write_study(tmp_path)), launcher=launcher)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/ {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(network_files, "MOUNTS", mounts)
    with pytest.raises(UserError, match=r"optuna\.db is SQLite on a network file system \(nfs4\)"):
        run_study(options, quiet())
    assert not options.out.exists()
    assert fake.calls("sbatch") == []


def test_without_sbatch_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = slurm(write_study(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="--launcher slurm: there is no sbatch"):
        run_study(options, quiet())
    assert not options.out.exists()


def test_what_sbatch_refuses_ends_the_command_in_its_own_words(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.refuses("sbatch", "sbatch: error: invalid account\n")
    with pytest.raises(UserError, match="sbatch: error: invalid account"):
        run_study(slurm(write_study(tmp_path)), quiet())


def test_equal_time_is_not_measured_on_a_machine_that_does_not_train(fake: FakeSlurm, tmp_path: Path) -> None:
    study = write_study(tmp_path)
    study.write_text(study.read_text() + "budget: time\n")
    with pytest.raises(UserError, match="start one worker there"):
        run_study(slurm(study), quiet())
    assert fake.calls("sbatch") == []


def test_passwords_reach_the_tasks_by_their_environment_alone(fake: FakeSlurm, tmp_path: Path) -> None:
    options = slurm(write_study(tmp_path), tracking="https://user:hunter2@127.0.0.1:9/")
    console = quiet()
    assert run_study(options, console) == 0
    assert "hunter2" not in json.dumps(fake.calls("sbatch"))
    assert "hunter2" not in said(console)
    assert "hunter2" in fake.environment()["CMAE_ABLATE_TRACKING_URI"]
