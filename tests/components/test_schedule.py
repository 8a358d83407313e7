"""The learning rate of MAE: linear to the peak, then half a cosine, stepped within epochs."""

from __future__ import annotations

import math

import pytest
import torch

from cmae_ablate.components.schedule import lr_at, set_lr


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0.0, 0.0),
        (2.5, 0.25),  # a quarter of the warm-up
        (10.0, 1.0),
        (10.0 + 30.0, 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2),  # a quarter of the cosine: cos(45 degrees)
        (10.0 + 60.0, 0.55),  # half way between peak and floor
        (10.0 + 80.0, 0.1 + 0.9 * 0.25),  # two thirds: cos(120 degrees) = -1/2
        (130.0, 0.1),
    ],
)
def test_the_rate_is_a_line_and_then_half_a_cosine(epoch: float, rate: float) -> None:
    assert lr_at(epoch, peak=1.0, floor=0.1, warmup=10.0, epochs=130.0) == pytest.approx(rate, rel=1e-12)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert lr_at(0.0, peak=0.3, floor=0.0, warmup=0.0, epochs=4.0) == 0.3


def test_groups_keep_their_own_share_of_the_rate() -> None:
    plain, scaled = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [plain]}, {"params": [scaled], "lr_scale": 0.25}], lr=9.0)
    set_lr(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.125]
