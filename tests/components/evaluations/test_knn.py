from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from cmae_ablate.components.evaluations import knn
from cmae_ablate.components.evaluations.knn import KNearestNeighbours, vote
from tests.components.evaluations.patterns import pattern_context


def _problem(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (200,), generator=rng)
    centres = torch.randn(5, 12, generator=rng)
    bank = centres[labels] + torch.randn(200, 12, generator=rng)
    return torch.randn(90, 12, generator=rng) + centres[torch.arange(90) % 5], bank, labels


def test_votes_agree_with_scikit_learn() -> None:
    queries, bank, labels = _problem(0)
    temperature = 0.07

    def weights(cosine_distance: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp((1.0 - cosine_distance) / temperature)

    reference = KNeighborsClassifier(15, metric="cosine", algorithm="brute", weights=weights)
    expected = reference.fit(bank.double().numpy(), labels.numpy()).predict(queries.double().numpy())
    elected = vote(queries, bank, labels, 5, k=15, temperature=temperature)
    assert elected.tolist() == expected.tolist()


def test_chunks_do_not_change_the_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, bank, labels = _problem(1)
    at_once = vote(queries, bank, labels, 5, k=7, temperature=0.1)
    monkeypatch.setattr(knn, "_CHUNK_NUMBERS", 7 * len(bank))
    assert torch.equal(vote(queries, bank, labels, 5, k=7, temperature=0.1), at_once)


def test_a_low_temperature_leaves_the_choice_to_the_nearest_neighbour() -> None:
    queries, bank, labels = _problem(2)
    cold = vote(queries, bank, labels, 5, k=50, temperature=1e-4)
    assert torch.equal(cold, vote(queries, bank, labels, 5, k=1, temperature=1.0))


def test_more_neighbours_than_training_images_means_all_of_them() -> None:
    context = pattern_context()
    result = KNearestNeighbours(k=100_000)(context)
    assert result.protocol.startswith("96-NN")
    assert torch.equal(result.predictions, KNearestNeighbours(k=96)(context).predictions)


def test_the_class_token_can_be_read_instead_of_the_mean_patch_token() -> None:
    result = KNearestNeighbours(feature="cls")(pattern_context())
    assert "class token" in result.protocol


def test_patterns_are_recognised_far_above_chance() -> None:
    result = KNearestNeighbours()(pattern_context())
    assert result.metrics["top1"] > 50.0
