from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.components.loading import load_components
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training import cost

SMALL = {"name": "vit", "dim": 16, "depth": 2, "heads": 2, "patch": 4}


def _spec(**changes: Any) -> TrialSpec:
    load_components()
    tree = default_tree()
    for path, value in {"backbone": SMALL, "decoder": {"name": "linear"}, **changes}.items():
        tree = apply(tree, tuple(path.split("__")), value)
    return resolve(tree)


def _vit_forward_flops(dim: int, depth: int, tokens: int, patches: int, patch: int) -> int:
    """Two a multiply-add: patch embedding; in a block qkv, projection, MLP and attention's two products."""
    embedding = 2 * patches * (3 * patch * patch) * dim
    linear = 2 * tokens * dim * dim * (3 + 1 + 4 + 4)
    attention = 2 * 2 * tokens * tokens * dim
    return embedding + depth * (linear + attention)


def test_flops_of_a_vit_agree_with_counting_by_hand() -> None:
    encoder = vit(16, dim=16, depth=2, heads=2, patch=4)
    image = torch.randn(1, 3, 16, 16)
    expected = _vit_forward_flops(16, 2, tokens=17, patches=16, patch=4)
    assert cost.forward_flops(lambda: encoder.encode(image, None)) == expected


def test_training_costs_three_forward_passes_but_for_the_gradient_of_the_image() -> None:
    encoder = vit(16, dim=16, depth=2, heads=2, patch=4)
    image = torch.randn(1, 3, 16, 16)
    forward = _vit_forward_flops(16, 2, tokens=17, patches=16, patch=4)
    embedding = 2 * 16 * 48 * 16
    step = cost.profile(lambda: encoder.encode(image, None).sum())
    assert step.flops == 3 * forward - embedding


def test_flops_of_pretraining_agree_with_counting_by_hand() -> None:
    visible, hidden, values = 4, 12, 48
    forward = _vit_forward_flops(16, 2, tokens=1 + visible, patches=visible, patch=4)
    embedding = 2 * visible * values * 16
    # The linear decoder predicts from each visible token, and averages for each hidden patch.
    decoder = 2 * visible * 16 * values + 2 * hidden * visible * values
    measured = cost.measure(_spec(training={"batch_size": 6}), 16)
    assert measured.flops_image == 3 * forward - embedding + 3 * decoder


def test_values_and_shapes_alone_cost_the_same() -> None:
    spec = _spec(training={"batch_size": 2})
    measured = cost.measure(spec, 16)
    encoder = vit(16, dim=16, depth=2, heads=2, patch=4)
    real = cost.profile(lambda: encoder.encode(torch.randn(1, 3, 16, 16), None).sum(), encoder.parameters())
    assert measured.flops_train_encoder == real.flops


def test_activations_of_a_known_network_are_counted_once() -> None:
    layers = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    inputs = torch.randn(5, 8)
    step = cost.profile(lambda: layers(inputs).square().sum(), layers.parameters())
    # The input, the ReLU's output (kept twice, stored once) and the last layer's output, in fp32.
    assert step.activation_bytes == 4 * 5 * (8 + 32 + 4)


def test_activations_grow_with_the_batch_and_flops_per_image_do_not() -> None:
    small, large = (cost.measure(_spec(training={"batch_size": size}), 16) for size in (4, 64))
    assert large.flops_image == pytest.approx(small.flops_image)
    assert large.memory_bytes > small.memory_bytes


def test_bfloat16_keeps_fewer_activation_bytes() -> None:
    full, half = (
        cost.measure(_spec(training={"batch_size": 256, "precision": precision}), 16)
        for precision in ("fp32", "bf16")
    )
    assert half.memory_bytes < 0.85 * full.memory_bytes


def test_parameters_are_counted_by_part() -> None:
    measured = cost.measure(_spec(), 16)
    block = 12 * 16 * 16 + 13 * 16
    embedding, class_token, norm = 48 * 16 + 16, 16, 32
    assert measured.params_encoder == 2 * block + embedding + class_token + norm


def test_a_moving_average_is_no_trained_parameter() -> None:
    trained, frozen = nn.Linear(3, 5), nn.Linear(3, 5).requires_grad_(False)
    assert cost.count_parameters(nn.ModuleList([trained, frozen])) == 20


def test_memory_holds_weights_gradients_moments_and_activations() -> None:
    # The memory that does not grow with the batch is 16 bytes a parameter, and the position table.
    small, large = (cost.measure(_spec(training={"batch_size": size}), 16) for size in (8, 16))
    fixed = 2 * small.memory_bytes - large.memory_bytes
    parameters = small.params_encoder + small.params_decoder
    assert fixed == pytest.approx(16 * parameters + 4 * 17 * 16, rel=0.1)


def test_a_further_objective_costs_parameters_and_flops_of_its_own() -> None:
    plain, contrastive = (
        cost.measure(_spec(training={"batch_size": 4}, **extra), 16)
        for extra in ({}, {"objectives__contrastive": {"name": "moco_v3"}})
    )
    assert contrastive.params_objectives["contrastive"] > 0
    assert contrastive.params_encoder == plain.params_encoder
    assert contrastive.flops_image > 1.5 * plain.flops_image


def test_the_paper_scale_has_the_parameters_and_flops_of_vit_b() -> None:
    paper = {"name": "vit", "dim": 768, "depth": 12, "heads": 12, "patch": 16}
    measured = cost.measure(
        _spec(backbone=paper, decoder={"name": "transformer"}, training={"batch_size": 64}), 224
    )
    assert measured.params_encoder == pytest.approx(85.6e6, rel=0.01)
    assert measured.flops_encode == pytest.approx(35.1e9, rel=0.01)


def test_counting_leaves_the_random_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    cost.measure(_spec(training={"batch_size": 3}), 16)
    assert torch.equal(torch.rand(4), expected)


def test_a_matrix_product_is_timed_at_a_plausible_speed() -> None:
    assert 1e8 < cost.matmul_speed(Runtime(), seconds=0.02) < 1e14


def test_variants_that_differ_in_a_learning_rate_are_counted_once(tiny_spec: TrialSpec) -> None:
    cost._measure.cache_clear()
    for rate in (1e-3, 2e-3):
        training = tiny_spec.training.model_copy(update={"base_lr": rate, "epochs": 7})
        cost.measure(replace(tiny_spec, training=training), 32)
    assert cost._measure.cache_info().misses == 1
    smaller = tiny_spec.training.model_copy(update={"batch_size": 8})
    cost.measure(replace(tiny_spec, training=smaller), 32)
    assert cost._measure.cache_info().misses == 2
