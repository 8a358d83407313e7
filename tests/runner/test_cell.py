"""One cell's folder in the cache: done once whoever asks, kept as the study wants, waited for patiently."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from cmae_ablate import checkpoint
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import Interrupted
from cmae_ablate.runner import cell as cell_module
from cmae_ablate.runner.cache import LOCK
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.options import Options
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.terminal import open_console
from cmae_ablate.training.loop import Hooks

STEPS = 8
"""Of the tiny trial: 64 images at batch 16, twice."""


def test_the_context_of_a_studys_cell_has_what_its_trial_and_its_study_ask_for(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_study.write_text(tiny_study.read_text() + "keep: all\nset: {training.precision: bf16}\n")
    options, threads = Options(tiny_study, out=tmp_path / "runs"), []
    monkeypatch.setattr(cell_module, "set_threads", threads.append)
    experiment = options.begin(options.load(), open_console())
    spec = experiment.variants[0].spec
    found = CellContext.of(experiment, spec, Runtime(compile=True))
    assert (found.runtime.precision, found.runtime.compile, found.keep_state) == ("bf16", False, True)
    assert threads == [spec.training.threads]
    assert found.data is experiment.data_of(spec)
    assert found.cache == tmp_path / "runs" / "cache"


def test_the_same_pretraining_asked_for_twice_at_once_is_trained_once(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    cell_context, steps, both = CellContext(tiny_data, Runtime(), tmp_path), [], threading.Barrier(2)

    def ask(_: int) -> tuple[bool, str]:
        both.wait()
        result = run_cell(tiny_spec, cell_context, Hooks(on_step=lambda done, total: steps.append(done)))
        return result.reused, result.weights_sha256

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(ask, range(2)))
    assert len(steps) == STEPS
    assert sorted(reused for reused, _ in found) == [False, True]
    assert len({digest for _, digest in found}) == 1


def test_a_worker_that_waits_for_another_can_be_told_to_stop(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    cell_context = CellContext(tiny_data, Runtime(), tmp_path)
    cell_context.folder(tiny_spec).mkdir(parents=True)
    with FileLock(cell_context.folder(tiny_spec) / LOCK), pytest.raises(Interrupted):
        run_cell(tiny_spec, cell_context, Hooks(should_stop=lambda: True))


@pytest.mark.parametrize(("keep_state", "left"), [(False, []), (True, ["step-000000008.pt"])])
def test_the_last_training_state_stays_where_the_study_keeps_all(
    keep_state: bool, left: list[str], tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    cell_context = CellContext(tiny_data, Runtime(), tmp_path, keep_state)
    result = run_cell(tiny_spec, cell_context)
    assert [path.name for path in result.folder.glob("step-*.pt")] == left
    if keep_state:
        state = checkpoint.load_latest(result.folder, pytest.fail)
        assert state is not None
        assert checkpoint.weights_sha256(state["model"]) == result.weights_sha256
    assert run_cell(tiny_spec, cell_context).reused


def test_what_a_killed_writer_left_aside_is_swept(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    cell_context = CellContext(tiny_data, Runtime(), tmp_path)
    folder = cell_context.folder(tiny_spec)
    folder.mkdir(parents=True)
    (folder / ".step-000000004.pt.12345").write_bytes(b"half a checkpoint")
    run_cell(tiny_spec, cell_context)
    assert list(folder.glob(".*")) == []


def test_how_well_an_objective_is_solved_stands_among_the_metrics(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = resolve(apply(tiny_spec.to_tree(), ("objectives", "position"), {"name": "absolute"}))
    result = run_cell(spec, CellContext(tiny_data, Runtime(), tmp_path))
    assert result.metrics["pretrain.position.accuracy"] == result.history[-1]["position.accuracy"]
    assert 0 <= result.metrics["pretrain.position.accuracy"] <= 1
