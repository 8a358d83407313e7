from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cmae_ablate.components.networks import View
from cmae_ablate.components.objectives.absolute import AbsolutePosition
from cmae_ablate.components.objectives.dropped import DroppedPosition
from cmae_ablate.components.objectives.position_loss import position_loss
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.tokens import PatchMask

MakeViews = Callable[[int], list[View]]


def slow_loss(scores: list[float], position: int, loss: str) -> float:
    if loss == "cross_entropy":
        return math.log(sum(math.exp(score) for score in scores)) - scores[position]
    return sum((score - (n == position)) ** 2 for n, score in enumerate(scores))


@pytest.mark.parametrize("loss", ["cross_entropy", "l2"])
@pytest.mark.parametrize("num_views", [1, 2])
def test_absolute_averages_over_the_visible_tokens_of_all_views(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, loss: str, num_views: int
) -> None:
    objective = AbsolutePosition(encoder, loss=loss)
    views = make_views(3)[:num_views]
    losses, hits = [], []
    for view in views:
        for image in range(3):
            for slot, position in enumerate(view.mask.ids_keep[image].tolist()):
                scores = objective.head(view.tokens[image, 1 + slot]).tolist()
                losses.append(slow_loss(scores, position, loss))
                hits.append(max(scores) == scores[position])
    term = objective(views, encoder, rng)
    assert term.loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert term.diagnostics["accuracy"].item() == pytest.approx(sum(hits) / len(hits))


@pytest.mark.parametrize("kind", [AbsolutePosition, DroppedPosition])
def test_gradients_reach_the_encoder_and_every_parameter(
    encoder: VitEncoder,
    make_views: MakeViews,
    rng: torch.Generator,
    kind: type[AbsolutePosition] | type[DroppedPosition],
) -> None:
    objective = kind(encoder)
    objective(make_views(4), encoder, rng).loss.backward()
    for name, parameter in [*objective.named_parameters(), *encoder.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_mean_squared_error_averages_over_every_entry_of_the_one_hot() -> None:
    scores = torch.tensor([[0.5, 0.0, -1.0], [0.0, 2.0, 0.0]])
    loss, _ = position_loss(scores, torch.tensor([0, 2]), "mse")
    # ((0.5 - 1)^2 + 0 + 1 + 0 + 4 + (0 - 1)^2) / 6
    assert loss.item() == pytest.approx(6.25 / 6)


def test_zero_scores_cost_one_by_l2_however_many_positions() -> None:
    for num_patches in (4, 196):
        loss, _ = position_loss(torch.zeros(3, num_patches), torch.tensor([0, 1, 2]), "l2")
        assert loss.item() == 1


class Spy:
    """An encoder that remembers which positions it was given."""

    def __init__(self, encoder: VitEncoder) -> None:
        self.encoder = encoder
        self.given = torch.empty(0)
        self.tokens = torch.empty(0)

    def encode(self, images: Tensor, mask: PatchMask | None, *, positions: Tensor) -> Tensor:
        self.given = positions
        self.tokens = self.encoder.encode(images, mask, positions=positions)
        return self.tokens


@pytest.mark.parametrize(("ratio", "withheld"), [(0.75, 4), (0.5, 2), (1.0, 5), (0.01, 1)])
def test_dropped_puts_the_loss_on_tokens_without_position_only(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, ratio: float, withheld: int
) -> None:
    objective = DroppedPosition(encoder, ratio=ratio)
    views, spy = make_views(3), Spy(encoder)
    term = objective(views, spy, rng)
    losses = []
    for image in range(3):
        for slot, position in enumerate(views[0].mask.ids_keep[image].tolist()):
            if not spy.given[image, slot]:
                scores = objective.head(spy.tokens[image, 1 + slot]).tolist()
                losses.append(slow_loss(scores, position, "cross_entropy"))
    assert (~spy.given).sum(dim=1).tolist() == [withheld] * 3
    assert term.loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_dropped_withholds_every_visible_token_equally_often(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    objective, spy = DroppedPosition(encoder, ratio=0.4), Spy(encoder)
    views = make_views(50)
    counts = torch.zeros(5)
    with torch.no_grad():
        for _ in range(40):
            objective(views, spy, rng)
            counts += (~spy.given).sum(dim=0)
    # 2000 draws of 2 in 5: sd 22 around 800; five counts all within 4.5 sd fail by chance in 1 of 30,000.
    assert (counts - 800).abs().max() < 99


def test_dropped_with_the_same_generator_withholds_the_same(
    encoder: VitEncoder, make_views: MakeViews
) -> None:
    objective, views = DroppedPosition(encoder), make_views(3)
    losses = [objective(views, encoder, torch.Generator().manual_seed(5)).loss.item() for _ in range(2)]
    assert losses[0] == losses[1]


def test_on_blank_images_only_given_positions_can_be_told(encoder: VitEncoder, rng: torch.Generator) -> None:
    mask = PatchMask.from_scores(torch.rand(32, 16, generator=rng), 5)
    images = torch.zeros(32, 3, 32, 32)
    views = [View(images, mask, encoder.encode(images, mask).detach())]
    reached = {}
    for kind in (AbsolutePosition, DroppedPosition):
        objective = kind(encoder) if kind is AbsolutePosition else DroppedPosition(encoder, ratio=1.0)
        optimizer = torch.optim.AdamW(objective.parameters(), lr=2e-2)
        for _ in range(100):
            term = objective(views, encoder, rng)
            optimizer.zero_grad()
            term.loss.backward()
            optimizer.step()
        reached[kind] = term.diagnostics["accuracy"].item()
    assert reached[AbsolutePosition] > 0.8
    # All tokens look alike: the best guess is the most frequent of 16 positions.
    most_frequent = mask.ids_keep.flatten().bincount().max().item() / mask.ids_keep.numel()
    assert reached[DroppedPosition] <= most_frequent + 1e-6
