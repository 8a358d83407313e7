from __future__ import annotations

import mmap
from dataclasses import replace

import pytest
import torch

from cmae_ablate.runner.hardware import peak_memory, watch_memory
from cmae_ablate.runner.memory import batch_that_fits, out_of_memory
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


def test_the_peak_counts_what_was_held_since_the_watch_began() -> None:
    device = torch.device("cpu")
    watch_memory(device)
    before = peak_memory(device)
    if before is None:
        pytest.skip("the system does not tell a process's peak")
    # Mapped by ourselves: torch's allocator may hand out what an earlier test left resident.
    held = mmap.mmap(-1, 64 * 2**20)
    held.write(b"\1" * len(held))
    during = peak_memory(device)
    assert during is not None
    assert during - before > 0.9 * len(held)
    held.close()
    watch_memory(device)
    after = peak_memory(device)
    assert after is not None
    assert after < during
