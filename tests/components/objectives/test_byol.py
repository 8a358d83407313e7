from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cmae_ablate.components.networks import View
from cmae_ablate.components.objectives.byol import Byol
from cmae_ablate.components.vit_encoder import VitEncoder

MakeViews = Callable[[int], list[View]]


@pytest.mark.parametrize("key_mask", ["same", "none"])
def test_the_loss_is_the_squared_distance_of_unit_vectors_in_both_directions(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, key_mask: str
) -> None:
    objective = Byol(encoder, key_mask=key_mask)
    views = make_views(5)
    with torch.no_grad():
        predicted = [objective.predictor(objective.projector(view.tokens)) for view in views]
        wanted = [
            objective.target_projector(
                objective.target_encoder.encode(view.images, view.mask if key_mask == "same" else None)
            )
            for view in views
        ]
    total = 0.0
    for mine, theirs in ((0, 1), (1, 0)):
        for i in range(5):
            prediction, target = predicted[mine][i], wanted[theirs][i]
            difference = prediction / prediction.norm() - target / target.norm()
            total += difference.square().sum().item() / 5
    assert objective(views, encoder, rng).loss.item() == pytest.approx(total, rel=1e-5)


def test_gradients_reach_the_encoder_and_every_trained_parameter(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    objective = Byol(encoder)
    objective(make_views(4), encoder, rng).loss.backward()
    for name, parameter in [*objective.named_parameters(), *encoder.named_parameters()]:
        if name.startswith("target_"):
            assert parameter.grad is None and not parameter.requires_grad
        else:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_targets_follow_after_each_step(encoder: VitEncoder) -> None:
    objective = Byol(encoder, momentum=0.75, momentum_schedule="constant")
    old = objective.target_encoder.state_dict()["cls_token"].clone()
    with torch.no_grad():
        encoder.cls_token.add_(1.0)
    objective.after_step(encoder, progress=0.1)
    torch.testing.assert_close(objective.target_encoder.state_dict()["cls_token"], old + 0.25)


def test_a_batch_of_one_image_is_trained_on(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    loss = Byol(encoder)(make_views(1), encoder, rng).loss
    loss.backward()
    assert 0 < loss.item() <= 8
