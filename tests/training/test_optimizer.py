from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from cmae_ablate.components.schedule import lr_at
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import Training, TrialSpec, resolve
from cmae_ablate.training.loop import pretrain
from cmae_ablate.training.model import assemble
from cmae_ablate.training.optimizer import adamw, parameter_groups, peak_lr
from tests.pretend_gpu import GPU, pretend_gpu


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


@pytest.mark.parametrize("depth", [1, 30])
def test_on_a_device_a_step_is_four_launches_however_deep_the_network(depth: int) -> None:
    with pretend_gpu() as traffic:
        model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(depth))).to(GPU)
        optimizer = adamw(model, Training(), GPU)
        for _ in range(2):  # the first makes the moments
            traffic.clear()
            model(torch.empty(2, 3, device=GPU)).sum().backward()
            backward = traffic.launches
            optimizer.step()
    # Of the decayed and of the others each: the update, and the count of steps.
    assert (traffic.launches - backward, traffic.waits, traffic.reads) == (4, [], [])


def test_a_whole_mae_is_grouped_as_timm_groups_it_for_mae(tiny_spec: TrialSpec) -> None:
    model = assemble(tiny_spec, 32)
    names = {id(parameter): name for name, parameter in model.named_parameters()}

    def grouped(groups: list[dict[str, Any]]) -> dict[float, set[str]]:
        return {group["weight_decay"]: {names[id(value)] for value in group["params"]} for group in groups}

    ours = grouped(parameter_groups(model, 0.05))
    assert ours == grouped(param_groups_weight_decay(model, 0.05))
    # As there, both tokens are decayed: they are vectors, but not of one dimension.
    assert {"encoder.cls_token", "decoder.mask_token"} <= ours[0.05]


def maes_rate(
    data_iter_step: int, steps: int, epoch: int, *, base: float, batch: int, warmup: float
) -> float:
    """MAE's `adjust_learning_rate` as its training loop calls it, for a training of 4 epochs."""
    progress, peak, floor = data_iter_step / steps + epoch, base * batch / 256, 1e-5
    if progress < warmup:
        return peak * progress / warmup
    return floor + (peak - floor) * 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (4 - warmup)))


def test_each_step_of_a_training_is_taken_at_the_rate_and_with_the_settings_of_mae(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    settings = {"epochs": 4, "warmup_epochs": 1.25, "base_lr": 2e-3, "min_lr": 1e-5, "batch_size": 16}
    spec = resolve(apply(tiny_spec.to_tree(), ("training",), settings))
    taken: list[dict[str, Any]] = []

    def look(optimizer: torch.optim.Optimizer, *_: object) -> None:
        assert isinstance(optimizer, torch.optim.AdamW)
        taken.append({**optimizer.param_groups[0], "others": {g["lr"] for g in optimizer.param_groups}})

    handle = register_optimizer_step_pre_hook(look)
    try:
        pretrain(spec, tiny_data, Runtime(), tmp_path)
    finally:
        handle.remove()
    expected = [
        maes_rate(step, 4, epoch, base=2e-3, batch=16, warmup=1.25) for epoch in range(4) for step in range(4)
    ]
    assert [group["lr"] for group in taken] == pytest.approx(expected, rel=1e-12)
    assert all(group["others"] == {group["lr"]} for group in taken)
    assert {(group["betas"], group["eps"], group["weight_decay"]) for group in taken} == {
        ((0.9, 0.95), 1e-8, 0.05)
    }
