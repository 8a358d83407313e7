from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cmae_ablate.components.ema import follow, frozen_copy, momentum_at
from tests.pretend_gpu import GPU, pretend_gpu


def test_a_copy_follows_by_the_moving_average_of_every_parameter() -> None:
    online = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    target = frozen_copy(online)
    before = [parameter.clone() for parameter in target.parameters()]
    with torch.no_grad():
        for parameter in online.parameters():
            parameter.add_(torch.rand_like(parameter))
    follow(target, online, 0.9)
    for old, new, slow in zip(before, online.parameters(), target.parameters(), strict=True):
        torch.testing.assert_close(slow, 0.9 * old + 0.1 * new)


def test_a_copy_takes_buffers_as_they_are() -> None:
    online = nn.BatchNorm1d(2)
    target = frozen_copy(online)
    online(torch.tensor([[1.0, 5.0], [3.0, 7.0]]))
    follow(target, online, 0.9)
    torch.testing.assert_close(target.state_dict()["running_mean"], online.running_mean)
    assert target.state_dict()["num_batches_tracked"] == 1


def test_on_a_device_a_copy_follows_by_a_few_launches_however_many_layers_there_are() -> None:
    with pretend_gpu() as traffic:
        online = nn.Sequential(*(nn.BatchNorm1d(2) for _ in range(20))).to(GPU)
        target = frozen_copy(online)
        traffic.clear()
        follow(target, online, 0.9)
    # The parameters, the statistics, and the counts of batches, which are of another type.
    assert (traffic.launches, traffic.waits, traffic.reads) == (3, [], [])


def test_a_copy_is_not_trained_and_its_source_still_is() -> None:
    online = nn.Linear(2, 2)
    target = frozen_copy(online)
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert all(parameter.requires_grad for parameter in online.parameters())


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5, 1.0])
def test_the_momentum_rises_to_one_as_in_moco_v3(progress: float) -> None:
    published = 1.0 - 0.5 * (1.0 + math.cos(math.pi * progress)) * (1.0 - 0.99)
    assert momentum_at(0.99, progress, rising=True) == pytest.approx(published)
    assert momentum_at(0.99, progress, rising=False) == 0.99
