"""U-MAE's uniformity against a loop over pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from cmae_ablate.components.networks import View
from cmae_ablate.components.objectives.u_mae import UMae, squared_cosines
from cmae_ablate.components.vit_encoder import VitEncoder

MakeViews = Callable[[int], list[View]]


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


@pytest.mark.parametrize("feature", ["mean", "cls"])
@pytest.mark.parametrize("num_views", [1, 2])
def test_the_loss_is_the_mean_squared_cosine_of_two_different_images(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, feature: str, num_views: int
) -> None:
    views = make_views(4)[:num_views]
    totals = []
    for view in views:
        rows = [
            tokens[0].tolist() if feature == "cls" else (sum(tokens[1:]) / len(tokens[1:])).tolist()
            for tokens in view.tokens
        ]
        pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
        totals.append(sum(cosine(rows[i], rows[j]) ** 2 for i, j in pairs) / len(pairs))
    term = UMae(encoder, feature=feature)(views, encoder, rng)  # type: ignore[arg-type]
    assert term.loss.item() == pytest.approx(sum(totals) / len(totals), rel=1e-5)


def test_orthogonal_features_cost_nothing_and_parallel_ones_one() -> None:
    assert squared_cosines(torch.eye(3) * 7).item() == 0
    # Opposite directions are as far from orthogonal as equal ones.
    assert squared_cosines(torch.tensor([[1.0, 2.0], [-2.0, -4.0]])).item() == pytest.approx(1.0)
    # Cosines 0, 1/sqrt(2), 1/sqrt(2): (0 + 1/2 + 1/2) / 3.
    assert squared_cosines(torch.tensor([[1.0, 0], [0, 1], [1, 1]])).item() == pytest.approx(1 / 3)


def test_a_batch_of_one_image_costs_nothing(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    assert UMae(encoder)(make_views(1), encoder, rng).loss.item() == 0


def test_training_on_it_alone_spreads_the_features(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    objective, given = UMae(encoder), make_views(6)[0]
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-3)
    found = []
    for _ in range(30):
        view = View(given.images, given.mask, encoder.encode(given.images, given.mask))
        term = objective([view], encoder, rng)
        found.append(term.loss.item())
        optimizer.zero_grad()
        term.loss.backward()
        optimizer.step()
    assert found[-1] < 0.3 * found[0]
