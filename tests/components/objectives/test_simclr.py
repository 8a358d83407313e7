from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from cmae_ablate.components.networks import View
from cmae_ablate.components.objectives.simclr import SimClr
from cmae_ablate.components.vit_encoder import VitEncoder

MakeViews = Callable[[int], list[View]]


@pytest.mark.parametrize("feature", ["cls", "mean", "decoder"])
def test_the_loss_is_nt_xent_over_all_other_views(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, feature: str
) -> None:
    objective = SimClr(encoder, feature=feature, temperature=0.4)
    views = make_views(5)
    with torch.no_grad():
        embeddings = torch.cat([objective.projector(view.tokens) for view in views])
    total = 0.0
    for i in range(10):
        partner = (i + 5) % 10
        similar = {
            j: math.exp(torch.cosine_similarity(embeddings[i], embeddings[j], dim=0).item() / 0.4)
            for j in range(10)
            if j != i
        }
        total -= math.log(similar[partner] / sum(similar.values()))
    assert objective(views, encoder, rng).loss.item() == pytest.approx(total / 10, rel=1e-4)


@pytest.mark.parametrize("feature", ["cls", "mean", "decoder"])
def test_gradients_reach_the_encoder_and_every_parameter(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, feature: str
) -> None:
    objective = SimClr(encoder, feature=feature)
    objective(make_views(4), encoder, rng).loss.backward()
    for name, parameter in [*objective.named_parameters(), *encoder.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_batch_of_one_image_costs_nothing(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    assert SimClr(encoder)(make_views(1), encoder, rng).loss.item() == 0


def test_training_on_one_batch_makes_views_find_each_other(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    objective = SimClr(encoder)
    images = make_views(8)
    optimizer = torch.optim.AdamW([*objective.parameters(), *encoder.parameters()], lr=3e-3)
    for _ in range(40):
        views = [View(view.images, view.mask, encoder.encode(view.images, view.mask)) for view in images]
        term = objective(views, encoder, rng)
        optimizer.zero_grad()
        term.loss.backward()
        optimizer.step()
    assert term.diagnostics["accuracy"] == 1
