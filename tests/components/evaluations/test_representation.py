from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from cmae_ablate.components.evaluations.representation import (
    Representation,
    alignment,
    effective_rank,
    feature_std,
    uniformity,
)
from tests.components.evaluations.patterns import pattern_context, small_encoder


def _features(seed: int) -> torch.Tensor:
    return torch.randn(40, 6, generator=torch.Generator().manual_seed(seed))


def test_effective_rank_is_the_exponential_of_the_entropy_of_singular_values() -> None:
    features = _features(0)
    values = np.linalg.svd(features.double().numpy(), compute_uv=False)
    assert effective_rank(features) == pytest.approx(math.exp(entropy(values)), rel=1e-4)


def test_effective_rank_counts_equally_strong_directions() -> None:
    orthogonal = torch.eye(5).repeat(8, 1)
    assert effective_rank(orthogonal) == pytest.approx(5.0, rel=1e-3)


def test_alignment_agrees_with_a_loop_over_pairs() -> None:
    first, second = _features(1), _features(2)
    slow = [float(((a / a.norm() - b / b.norm()) ** 2).sum()) for a, b in zip(first, second, strict=True)]
    assert alignment(first, second) == pytest.approx(sum(slow) / len(slow), rel=1e-5)


def test_uniformity_agrees_with_a_double_loop() -> None:
    unit = [row / row.norm() for row in _features(3).double()]
    potentials = [math.exp(-2.0 * float(((a - b) ** 2).sum())) for i, a in enumerate(unit) for b in unit[:i]]
    assert uniformity(_features(3)) == pytest.approx(math.log(sum(potentials) / len(potentials)), rel=1e-5)


def test_spread_is_one_for_directions_in_every_sense_and_zero_for_a_point() -> None:
    both_senses = torch.cat([torch.eye(6), -torch.eye(6)])
    assert feature_std(both_senses) == pytest.approx(1.0)
    assert feature_std(torch.ones(9, 4)) == pytest.approx(0.0)


def test_a_random_encoder_has_not_collapsed() -> None:
    assert Representation()(pattern_context()).metrics["collapsed"] == 0.0


def test_an_encoder_that_ignores_its_input_is_called_collapsed() -> None:
    encoder = small_encoder()
    with torch.no_grad():
        encoder.norm.weight.zero_()
        encoder.norm.bias.fill_(1.0)
    assert Representation()(pattern_context(encoder=encoder)).metrics["collapsed"] == 1.0


def test_no_more_images_are_looked_at_than_allowed() -> None:
    result = Representation(max_images=12)(pattern_context())
    assert result.protocol.startswith("12 test images")
