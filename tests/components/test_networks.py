"""Encoders and objectives as other parts may treat them: networks, whose no-ops are already there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmae_ablate.components.networks import Encoder, Objective, Term, View
from cmae_ablate.components.protocols import CropStrategy
from cmae_ablate.components.vit_encoder import VitEncoder


class Norm(Objective):
    """A plug-in's objective: what it does not say is inherited."""

    num_views = 1
    weight = 0.5

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.head = nn.Linear(encoder.embed_dim, 1)

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        return Term(self.head(views[0].tokens).square().mean())


class Whole(CropStrategy):
    """A plug-in's crop that learns nothing."""

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        return torch.tensor([0, 0, height, width]).expand(len(indices), 4)


class Sized(Encoder):
    embed_dim = 4


def test_an_objective_without_a_slow_copy_writes_its_loss_alone() -> None:
    encoder = Sized()
    objective = Norm(encoder)
    before = {name: tensor.clone() for name, tensor in objective.state_dict().items()}
    objective.after_step(encoder, 0.5)
    assert all(torch.equal(before[name], tensor) for name, tensor in objective.state_dict().items())
    # Called as every network is, so that wrappers and hooks see it.
    view = View(torch.zeros(1), None, torch.ones(2, 3, 4))  # type: ignore[arg-type]
    expected = objective.head(torch.ones(4)).square()
    assert torch.allclose(objective([view], encoder, torch.Generator()).loss, expected)


def test_a_crop_that_learns_nothing_writes_its_sample_alone() -> None:
    crop = Whole()
    assert crop.refresh(0, Sized(), None) is None  # type: ignore[arg-type]
    assert crop.state_dict() == {}
    crop.load_state_dict({})
    assert crop.sample(torch.arange(2), 5, 7, torch.Generator()).tolist() == [[0, 0, 5, 7]] * 2


def test_every_backbone_builds_an_encoder_that_is_one_by_name() -> None:
    assert issubclass(VitEncoder, Encoder)
    assert issubclass(VitEncoder, nn.Module)
