from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.hardware import MemoryWatch
from cmae_ablate.runner.memory import batch_that_fits, out_of_memory
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.cost import measure


def with_batch(spec: TrialSpec, batch: int) -> TrialSpec:
    return replace(spec, training=spec.training.model_copy(update={"batch_size": batch}))


@pytest.mark.parametrize("fits", [1, 4, 16])
def test_the_batch_named_is_the_largest_power_of_two_that_fits(fits: int, tiny_spec: TrialSpec) -> None:
    available = int(measure(with_batch(tiny_spec, fits), 32).memory_bytes / 0.9) + 1
    assert measure(with_batch(tiny_spec, 2 * fits), 32).memory_bytes > 0.9 * available
    assert batch_that_fits(with_batch(tiny_spec, 50), 32, available) == fits


def test_the_batch_that_failed_is_never_named(tiny_spec: TrialSpec) -> None:
    assert batch_that_fits(with_batch(tiny_spec, 64), 32, 2**40) == 32


def test_the_message_says_batch_device_and_remedy(tiny_spec: TrialSpec) -> None:
    text = out_of_memory(with_batch(tiny_spec, 64), 32, 2**30)
    assert "batch 64 on a device of 1.0 GiB" in text
    assert "set training.batch_size=32" in text
    shared = out_of_memory(with_batch(tiny_spec, 64), 32, 2**30, ranks=2)
    assert "batch 64 on 2 devices of 1.0 GiB" in shared
    assert "set training.batch_size=32" in shared
    assert "not even one image" in out_of_memory(tiny_spec, 32, 1000)


def took(work: Callable[[], object]) -> int:
    """What the watch says that a piece of work took."""
    watch = MemoryWatch.start(torch.device("cpu"))
    work()
    peak = watch.peak()
    if peak is None:
        pytest.skip("the system does not tell a process's peak")
    return peak


def held(mebibytes: int) -> None:
    """Hold so much for a moment: mapped by ourselves, as an allocator may hand out what is resident."""
    with mmap.mmap(-1, mebibytes * 2**20) as mapped:
        for start in range(0, len(mapped), mmap.PAGESIZE):
            mapped[start] = 1


def test_what_a_piece_of_work_held_for_a_moment_is_its_peak() -> None:
    assert took(lambda: held(64)) == pytest.approx(64 * 2**20, rel=0.1)


def test_what_is_held_all_the_while_does_not_count() -> None:
    kept = np.ones(2**25)  # 256 MiB
    assert took(lambda: held(64)) == pytest.approx(64 * 2**20, rel=0.1)
    assert kept[-1] == 1


def test_work_after_a_large_one_takes_what_it_takes_alone() -> None:
    def work() -> None:
        assert float(sum(torch.ones(2**18).sum() for _ in range(3)) + torch.ones(2**23).sum()) > 0  # 32 MiB

    alone = took(work)
    # Freed in pieces that the C library keeps for later use: nothing of them may hide what comes next.
    pieces = [torch.ones(2**18) for _ in range(400)]  # 400 MiB
    assert len(pieces) == 400
    pieces.clear()
    assert took(work) == pytest.approx(alone, abs=8 * 2**20)
    assert alone > 30 * 2**20


def test_pages_of_a_mapped_file_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, np.ones(2**23))  # 64 MiB
    images = np.load(path, mmap_mode="c")
    assert took(images.sum) < 16 * 2**20


def test_a_cell_after_a_larger_one_reports_about_what_it_reports_alone(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    def memory(folder: str, seed: int) -> float:
        context = CellContext(tiny_data, Runtime(), tmp_path / folder)
        return run_cell(tiny_spec.with_seed(seed), context).metrics["memory.pretrain"]

    memory("warm", 5)  # what libraries load once is no cell's
    alone = memory("alone", 6)
    large = [torch.ones(2**18) for _ in range(400)]
    del large
    assert memory("after", 7) == pytest.approx(alone, abs=16 * 2**20)
