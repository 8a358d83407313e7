from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cmae_ablate.components.objectives.similarity import info_nce, nt_xent, spread


def cosine(left: Tensor, right: Tensor) -> float:
    dot = sum(a * b for a, b in zip(left.tolist(), right.tolist(), strict=True))
    return dot / math.sqrt(sum(a * a for a in left.tolist()) * sum(b * b for b in right.tolist()))


def slow_info_nce(queries: Tensor, keys: Tensor, temperature: float) -> float:
    total = 0.0
    for i in range(len(queries)):
        similarities = [cosine(queries[i], keys[j]) / temperature for j in range(len(keys))]
        total += math.log(sum(math.exp(value) for value in similarities)) - similarities[i]
    return total / len(queries)


def slow_nt_xent(first: Tensor, second: Tensor, temperature: float) -> float:
    # As Algorithm 1 of SimCLR: views of image k stand side by side at 2k and 2k + 1.
    embeddings = [row for pair in zip(first, second, strict=True) for row in pair]
    total = 0.0
    for i, embedding in enumerate(embeddings):
        partner = i + 1 if i % 2 == 0 else i - 1
        denominator = sum(
            math.exp(cosine(embedding, other) / temperature) for j, other in enumerate(embeddings) if j != i
        )
        total -= math.log(math.exp(cosine(embedding, embeddings[partner]) / temperature) / denominator)
    return total / len(embeddings)


@pytest.mark.parametrize(("batch", "width", "temperature"), [(6, 5, 0.2), (3, 17, 1.0), (2, 1, 0.07)])
def test_info_nce_equals_a_double_loop(batch: int, width: int, temperature: float) -> None:
    rng = torch.Generator().manual_seed(batch)
    queries, keys = torch.randn(2, batch, width, generator=rng, dtype=torch.float64)
    loss, _ = info_nce(queries, keys, temperature)
    assert loss.item() == pytest.approx(slow_info_nce(queries, keys, temperature), rel=1e-5)


@pytest.mark.parametrize(("batch", "width", "temperature"), [(6, 5, 0.2), (3, 17, 1.0), (2, 1, 0.5)])
def test_nt_xent_equals_a_double_loop(batch: int, width: int, temperature: float) -> None:
    rng = torch.Generator().manual_seed(batch)
    first, second = torch.randn(2, batch, width, generator=rng, dtype=torch.float64)
    loss, _ = nt_xent(first, second, temperature)
    assert loss.item() == pytest.approx(slow_nt_xent(first, second, temperature), rel=1e-5)


def test_info_nce_finds_keys_that_equal_their_queries() -> None:
    queries = torch.eye(4)
    _, found = info_nce(queries, queries * 3, temperature=0.1)
    assert found.tolist() == [True] * 4


def test_info_nce_misses_keys_that_were_swapped() -> None:
    queries = torch.eye(3)
    _, found = info_nce(queries, queries[[1, 0, 2]], temperature=0.1)
    assert found.tolist() == [False, False, True]


def test_nt_xent_never_counts_an_embedding_as_its_own_neighbour() -> None:
    first = torch.eye(3)
    _, found = nt_xent(first, 0.5 * first + 0.1, temperature=0.1)
    assert found.tolist() == [True] * 6


def test_one_image_has_no_negatives_and_costs_nothing() -> None:
    one = torch.tensor([[1.0, 2.0]])
    other = torch.tensor([[-3.0, 1.0]])
    assert info_nce(one, other, 0.2)[0].item() == 0
    assert nt_xent(one, other, 0.2)[0].item() == 0


def test_losses_keep_full_precision_under_autocast() -> None:
    first, second = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(3))
    plain = nt_xent(first, second, 0.05)[0], info_nce(first, second, 0.05)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = nt_xent(first, second, 0.05)[0], info_nce(first, second, 0.05)[0]
    assert mixed == plain


def test_spread_is_one_on_the_sphere_and_zero_after_collapse() -> None:
    scattered = torch.randn(4096, 32, generator=torch.Generator().manual_seed(4))
    # The mean of 32 deviations of 4096 samples: sd below 0.3 %.
    assert spread(scattered).item() == pytest.approx(1.0, abs=0.02)
    assert spread(torch.ones(16, 32)).item() == pytest.approx(0.0, abs=1e-6)
