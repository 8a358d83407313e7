from __future__ import annotations

import pytest
import torch
from torch import nn

from cmae_ablate.optim import adamw, lr_at, parameter_groups, peak_lr
from cmae_ablate.spec import Training


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 0.0), (5, 0.5), (10, 1.0), (55, 0.55), (100, 0.1), (32.5, 0.868198051)]
)
def test_the_rate_warms_up_linearly_then_falls_by_half_a_cosine(epoch: float, expected: float) -> None:
    found = lr_at(epoch, peak=1.0, floor=0.1, warmup=10, epochs=100)
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_base_rate_is_scaled_by_batch_over_256() -> None:
    assert peak_lr(Training(base_lr=1e-3, batch_size=64)) == pytest.approx(2.5e-4)


def test_biases_and_norms_are_not_decayed() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    decayed, free = parameter_groups(module, 0.05)
    assert [tuple(parameter.shape) for parameter in decayed["params"]] == [(4, 3)]
    assert decayed["weight_decay"] == 0.05
    assert [tuple(parameter.shape) for parameter in free["params"]] == [(4,), (4,), (4,)]
    assert free["weight_decay"] == 0.0


def test_frozen_parameters_are_left_out() -> None:
    module = nn.Linear(3, 4)
    module.bias.requires_grad_(False)
    optimizer = adamw(module, Training(), torch.device("cpu"))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 1
