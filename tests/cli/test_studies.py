"""The commands that take a study file."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.cli.studies import _workers_at_hand
from cmae_ablate.runner.launch import forking, local
from cmae_ablate.runner.options import Options
from tests.cli.test_app import call
from tests.whole_study import ROOT, start_command, write_study

MISSING = 'raise ModuleNotFoundError("No module named {0!r}", name="{0}")\n'


def test_workers_are_forked_where_mlflow_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "ready_to_fork", lambda: nullcontext("forks"))
    monkeypatch.setattr(local, "keep_memory", lambda: None)
    for name in ("mlflow", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, name, None)
    with _workers_at_hand(Options(write_study(tmp_path), workers=2, device="cpu")) as found:
        assert found == "forks"  # type: ignore[comparison-overlap]


@pytest.mark.slow
def test_a_study_trains_with_two_workers_where_mlflow_cannot_be_imported(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    (first / "mlflow.py").write_text(MISSING.format("mlflow"))
    study, out = write_study(tmp_path), tmp_path / "runs"
    words = ["run", str(study), "--out", str(out), "--workers", "2", "--device", "cpu", "--seeds", "1"]
    command = start_command(
        [sys.executable, "-m", "cmae_ablate", *words],
        variables={"PYTHONPATH": os.pathsep.join([str(first), str(ROOT)])},
    )
    told, _ = command.communicate()
    assert command.returncode == 0, told
    assert "is away (No module named 'mlflow'); training goes on" in told
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert len(trials) > 1
    assert set(trials["state"]) == {"COMPLETE"}


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        (["--import", "b.csv"], "--import b.csv"),
        (["--launcher", "ray"], "--launcher ray"),
        (["--launcher", "slurm", "--no-wait"], "--launcher slurm"),
        (["--workers", "7"], "--workers 7"),
    ],
)
def test_what_one_cell_alone_would_ignore_is_refused_beside_it(
    beside: list[str], named: str, tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tiny_study.parent / "runs"
    status, _, err = call(capsys, "run", tiny_study, "--out", out, "--cell", "linear:0", *beside)
    assert status == 2
    assert f"--cell linear:0: this process trains the one cell again, from nothing, so that {named} " in err
    assert err.endswith("leave one of them out\n")
    assert not out.exists()
