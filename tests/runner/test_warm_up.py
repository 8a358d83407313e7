"""The first cell of a process costs what the same cell costs later, and nothing else about it is another."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.distributed import Ranks
from cmae_ablate.runner import warm_up as module
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.warm_up import warm_up
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks

CELLS = """
import json, sys
from dataclasses import replace
from pathlib import Path

from cmae_ablate.components.loading import load_components
from cmae_ablate.data.arrays import prepare
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study.trial_spec import resolve

load_components()
set_threads(1)
spec = resolve(json.loads(sys.argv[1]))
context = CellContext(prepare(spec["dataset"].build()), Runtime(), Path(sys.argv[2]))
found = [run_cell(spec.with_seed(seed), context).metrics.get("memory.pretrain") for seed in range(4)]
print(json.dumps(found))
"""


@pytest.fixture(autouse=True)
def _cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WARM", set())


def test_the_first_cell_of_a_process_takes_as_much_memory_as_the_same_cell_later(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    tree = json.dumps({**tiny_spec.to_tree(), "evaluations": {}})
    command = [sys.executable, "-c", CELLS, tree, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    first, *later = json.loads(told.splitlines()[-1])
    if first is None:
        pytest.skip("the system does not tell a process's peak")
    assert first == pytest.approx(statistics.median(later), rel=0.3)


def test_a_cell_after_it_has_the_weights_of_one_without_it(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = replace(tiny_spec, evaluations={})
    first = run_cell(spec, CellContext(tiny_data, Runtime(), tmp_path / "first"))
    assert "cpu" in module.WARM
    second = run_cell(spec, CellContext(tiny_data, Runtime(), tmp_path / "second"))
    assert first.weights_sha256 == second.weights_sha256
    assert first.history == second.history


def test_it_moves_no_random_stream_on_and_leaves_no_file(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()
    warm_up(tiny_spec, tiny_data, Runtime())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (repr(np.random.get_state()), random.getstate()) == before[1:]
    assert list(tmp_path.iterdir()) == []


def test_it_is_one_step_of_this_ranks_share_once_a_process(
    tiny_spec: TrialSpec, tiny_data: DataArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def first_step(spec: TrialSpec, data: DataArrays, runtime: Runtime, folder: Path, hooks: Hooks) -> None:
        assert not hooks.should_stop()
        hooks.on_step(1, 8)
        assert hooks.should_stop()
        asked.append((spec.training.batch_size, runtime.ranks.count))

    monkeypatch.setattr(module, "pretrain", first_step)
    warm_up(tiny_spec, tiny_data, Runtime(torch.device("cuda")))
    assert asked == []
    for _ in range(2):
        warm_up(tiny_spec, tiny_data, Runtime(ranks=Ranks(0, 2)))
    assert asked == [(8, 1)]
