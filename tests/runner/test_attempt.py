"""What becomes of a cell, and of the process, when the device fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cmae_ablate.cli import app
from cmae_ablate.components.decoders.transformer import TransformerDecoder
from cmae_ablate.errors import DeviceError
from cmae_ablate.runner.endings import ruins_the_process
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from tests.whole_study import optuna_trials, quiet, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def broken_by(error: Exception) -> Any:
    def forward(self: Any, view: Any) -> Any:
        if not self.training or len(view.tokens) != 16:
            return plain(self, view)
        raise error

    plain = TransformerDecoder.forward
    return forward


def test_an_error_of_the_gpu_frees_the_cell_and_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    options = Options(study, seeds=1, workers=1, device="cpu", out=out)
    error = torch.AcceleratorError("CUDA error: device-side assert triggered")
    with monkeypatch.context() as patched:
        patched.setattr(TransformerDecoder, "forward", broken_by(error))
        with pytest.raises(DeviceError, match="the cell is free for another"):
            run_study(options, quiet())
    assert [trial.state.name for trial in optuna_trials(out)] == ["FAIL"]
    # A new process does it: no cell is lost, none failed for good.
    assert run_study(options, quiet()) == 0


def test_what_a_library_made_of_the_gpus_error_is_the_gpus_error() -> None:
    error = RuntimeError("a compiled graph failed")
    assert not ruins_the_process(error)
    error.__cause__ = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    assert ruins_the_process(error)
    assert not ruins_the_process(torch.cuda.OutOfMemoryError("CUDA out of memory"))


def test_a_command_whose_gpu_failed_ends_with_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise DeviceError("the GPU computes nothing more")

    monkeypatch.setattr(app, "app", fail)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "the GPU computes nothing more\n"


def test_a_gpu_without_room_fails_its_cell_for_good_and_the_process_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out, console = write_study(tmp_path), tmp_path / "runs", quiet()
    monkeypatch.setattr(
        TransformerDecoder, "forward", broken_by(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    )
    assert run_study(Options(study, seeds=1, workers=1, device="cpu", out=out), console) == 1
    assert "failed: depth 1, seed 0: OutOfMemoryError" in said(console)
    assert sorted(trial.state.name for trial in optuna_trials(out)) == ["COMPLETE", "FAIL"]
