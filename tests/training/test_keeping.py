"""Checkpoints by the clock, written in the background, are as exact as any."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from cmae_ablate import checkpoint
from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training import keeping
from cmae_ablate.training.keeping import StateKeeper
from cmae_ablate.training.loop import Hooks, pretrain

CMAE = {
    "objectives": {"contrastive": {"name": "moco_v3"}, "position": {"name": "absolute"}},
    "crop": {"name": "contrastive", "warmup_epochs": 1, "interval": 1},
}


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from cmae_ablate import checkpoint
from cmae_ablate.components.loading import load_components
from cmae_ablate.data.arrays import prepare
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import resolve
from cmae_ablate.training import keeping
from cmae_ablate.training.loop import Hooks, pretrain
from tests.tiny import TINY

keeping.KEEP_SECONDS = 0.0
trained, write = threading.Event(), checkpoint.write_atomically

def die_half_way(path, content):
    if path.name == "step-000000006.pt":
        path.with_name(f".{path.name}.{os.getpid()}").write_bytes(content[: len(content) // 2])
        trained.wait()
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)

checkpoint.write_atomically = die_half_way
load_components()
set_threads(int(sys.argv[2]))
spec = resolve(apply(default_tree(), (), TINY))
hooks = Hooks(on_step=lambda done, _: trained.set() if done == 7 else None)
pretrain(spec, prepare(spec["dataset"].build()), Runtime(), Path(sys.argv[1]), hooks)
"""


def test_killed_while_a_checkpoint_is_written_and_training_goes_on_it_resumes_from_the_one_before(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(folder), str(torch.get_num_threads())]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(folder.glob(".step-000000006.pt.*"))  # half of it
    first: list[int] = []
    resumed = pretrain(
        tiny_spec, tiny_data, Runtime(), folder, Hooks(on_step=lambda step, _: first.append(step))
    )
    whole = pretrain(tiny_spec, tiny_data, Runtime(), tmp_path / "whole")
    assert first[0] == 6  # from the checkpoint of step 5
    assert weights_sha256(resumed.model.state_dict()) == weights_sha256(whole.model.state_dict())
    assert resumed.history == whole.history


def test_from_whatever_moment_a_checkpoint_is_the_weights_are_those_of_an_undisturbed_training(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = resolve(apply(tiny_spec.to_tree(), (), CMAE), tiny_spec.seed)
    whole = pretrain(spec, tiny_data, Runtime(), tmp_path / "whole")
    monkeypatch.setattr(keeping, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "KEEP", 100)
    often = pretrain(spec, tiny_data, Runtime(), tmp_path / "often")
    assert weights_sha256(often.model.state_dict()) == weights_sha256(whole.model.state_dict())
    # Two epochs of four steps: at the start of each step, and at the end.
    assert len(list((tmp_path / "often").glob("step-*.pt"))) == 9
    monkeypatch.undo()
    for step in (0, 3, 4, 6):
        folder = tmp_path / f"killed after {step}"
        folder.mkdir()
        for path in (tmp_path / "often").glob(f"step-{step:09d}.*"):
            shutil.copy(path, folder)
        first: list[int] = []
        hooks = Hooks(on_step=lambda done, _, first=first: first.append(done))  # type: ignore[misc]
        resumed = pretrain(spec, tiny_data, Runtime(), folder, hooks)
        assert first[0] == step + 1
        assert weights_sha256(resumed.model.state_dict()) == weights_sha256(whole.model.state_dict())
        assert resumed.history == whole.history


def test_quick_epochs_are_not_kept_one_by_one(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    save = checkpoint.save

    def noting(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
        kept.append(step)
        return save(folder, step, state)

    monkeypatch.setattr(checkpoint, "save", noting)
    spec = resolve(apply(tiny_spec.to_tree(), ("training", "epochs"), 6), 0)
    looked: list[int] = []

    def look(epochs: int, metrics: object) -> None:
        if epochs == 3:
            state = checkpoint.load_latest(tmp_path, pytest.fail)
            assert state is not None
            looked.append(state["step"])

    pretrain(spec, tiny_data, Runtime(), tmp_path, Hooks(look, looks_at=lambda epochs: epochs == 3))
    # The first epoch, the one that is looked at, the last.
    assert kept == [4, 12, 24]
    assert looked == [12]


def test_the_clock_says_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with StateKeeper(tmp_path) as keeper:
        due = []
        for seconds in (0, 59.9, 60, 61, 119, 121):
            now[0] = 100.0 + seconds
            due.append(keeper.is_due)
            if seconds == 60:
                keeper.keep(1, {})
    assert due == [False, False, True, False, False, True]


def test_what_is_written_is_the_state_of_the_moment_it_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, save = threading.Event(), checkpoint.save

    def late(*arguments: Any) -> Path:
        assert may_write.wait(60)
        return save(*arguments)

    monkeypatch.setattr(checkpoint, "save", late)
    weights = {"layer": torch.zeros(3), "moments": [torch.zeros(2)]}
    with StateKeeper(tmp_path) as keeper:
        keeper.keep(1, {"model": weights})
        weights["layer"].add_(1)  # the training goes on meanwhile
        weights["moments"][0].add_(1)
        may_write.set()
    state = checkpoint.load_latest(tmp_path, pytest.fail)
    assert state is not None
    assert state["model"]["layer"].tolist() == [0, 0, 0]
    assert state["model"]["moments"][0].tolist() == [0, 0]


@pytest.mark.parametrize("after", ["the next one", "the end"])
def test_a_write_that_failed_is_told(after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(OSError, match="No space left"), StateKeeper(tmp_path) as keeper:
        keeper.keep(1, {})
        if after == "the next one":
            keeper.keep(2, {})
            pytest.fail("the training went on")
