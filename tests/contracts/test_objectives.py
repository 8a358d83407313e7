"""What every registered objective must hold, ours and plug-ins' alike."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cmae_ablate.components.decoders.transformer import TransformerDecoder
from cmae_ablate.components.loading import load_components
from cmae_ablate.components.networks import Encoder, Objective, View
from cmae_ablate.components.protocols import BACKBONES, CONTRASTIVE, POSITION, UNIFORMITY
from cmae_ablate.components.registry import ComponentSpec
from cmae_ablate.runtime import seeded
from cmae_ablate.tokens import PatchMask
from tests.contracts.cases import each

load_components()
EVERY = each(CONTRASTIVE, POSITION, UNIFORMITY)


def build(component: ComponentSpec[Objective], image_size: int = 32) -> tuple[nn.Module, Encoder]:
    with seeded(0, "encoder"):
        encoder = BACKBONES["vit"].build({"dim": 16, "depth": 1, "heads": 2, "patch": 8}, image_size)
    with seeded(0, "objective"):
        objective = component.build(needed(component), encoder)
    assert isinstance(objective, nn.Module)
    return objective, encoder


def needed(component: ComponentSpec[Objective]) -> dict[str, object]:
    """Options without which the defaults are refused: of predictions there is no momentum copy."""
    feature = component.options.model_fields.get("feature")
    return {"key_encoder": "none"} if feature and feature.default == "prediction" else {}


def make_views(encoder: Encoder, batch: int, visible: int, count: int) -> list[View]:
    rng = torch.Generator().manual_seed(1)
    with seeded(0, "decoder"):
        pixels = encoder.patch_size**2 * 3
        decoder = TransformerDecoder(encoder.embed_dim, encoder.grid, pixels, depth=1, dim=16, heads=2)
    views = []
    for _ in range(count):
        mask = PatchMask.from_scores(torch.rand(batch, encoder.num_patches, generator=rng), visible)
        images = torch.randn(batch, 3, encoder.image_size, encoder.image_size, generator=rng)
        view = View(images, mask, encoder.encode(images, mask))
        views.append(replace(view, predictions=decoder.predict_all(view)))
    return views


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(2)


@EVERY
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("image_size", "visible"), [(24, 1), (24, 9), (40, 7)])
def test_any_batch_and_mask_give_a_finite_scalar(
    component: ComponentSpec[Objective], batch: int, image_size: int, visible: int
) -> None:
    objective, encoder = build(component, image_size)
    for count in (objective.num_views, 3):
        term = objective(make_views(encoder, batch, visible, count), encoder, rng())
        assert term.loss.shape == ()
        assert term.loss.isfinite()
        assert term.loss.dtype == torch.float32


@EVERY
def test_bf16_autocast_gives_nearly_the_loss_of_full_precision(component: ComponentSpec[Objective]) -> None:
    objective, encoder = build(component)
    plain = objective(make_views(encoder, 8, 4, 2), encoder, rng()).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = objective(make_views(encoder, 8, 4, 2), encoder, rng()).loss
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(plain.item(), rel=0.1)
    mixed.backward()
    trained = [*objective.parameters(), *encoder.parameters()]
    assert all(value.grad.isfinite().all() for value in trained if value.grad is not None)


@EVERY
def test_gradients_reach_every_trainable_parameter_and_the_encoder(
    component: ComponentSpec[Objective],
) -> None:
    objective, encoder = build(component)
    objective(make_views(encoder, 4, 5, 2), encoder, rng()).loss.backward()
    trainable = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    for parameter in [*trainable, *encoder.parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0


@EVERY
def test_diagnostics_are_detached_scalars(component: ComponentSpec[Objective]) -> None:
    objective, encoder = build(component)
    for name, value in objective(make_views(encoder, 4, 5, 2), encoder, rng()).diagnostics.items():
        assert value.shape == (), name
        assert not value.requires_grad, name
        assert math.isfinite(value.item()), name


@EVERY
def test_the_same_generator_gives_the_same_loss_and_the_global_one_is_left_alone(
    component: ComponentSpec[Objective],
) -> None:
    objective, encoder = build(component)
    views = make_views(encoder, 4, 5, 2)
    before = torch.random.get_rng_state()
    first, second = (objective(views, encoder, rng()).loss for _ in range(2))
    objective.after_step(encoder, 0.5)
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


@EVERY
def test_the_encoder_is_neither_kept_nor_changed(component: ComponentSpec[Objective]) -> None:
    objective, encoder = build(component)
    with seeded(0, "encoder"):
        untouched = BACKBONES["vit"].build({"dim": 16, "depth": 1, "heads": 2, "patch": 8}, 32)
    torch.testing.assert_close(encoder.state_dict(), untouched.state_dict(), rtol=0, atol=0)
    assert not {id(part) for part in objective.parameters()} & {id(part) for part in encoder.parameters()}
    assert all(parameter.requires_grad for parameter in encoder.parameters())


@EVERY
def test_after_step_leaves_the_encoder_and_trained_parameters_alone(
    component: ComponentSpec[Objective],
) -> None:
    objective, encoder = build(component)
    trainable = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    before = [parameter.clone() for parameter in [*trainable, *encoder.parameters()]]
    objective.after_step(encoder, 0.3)
    for old, new in zip(before, [*trainable, *encoder.parameters()], strict=True):
        assert torch.equal(old, new)


@EVERY
def test_state_makes_the_round_trip(component: ComponentSpec[Objective]) -> None:
    objective, encoder = build(component)
    views = make_views(encoder, 4, 5, 2)
    objective(views, encoder, rng()).loss.backward()
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.01)
    with seeded(7, "elsewhere"):
        other = component.build(needed(component), encoder)
    assert isinstance(other, nn.Module)
    other.load_state_dict(objective.state_dict())
    torch.testing.assert_close(
        other(views, encoder, rng()).loss, objective(views, encoder, rng()).loss, rtol=0, atol=0
    )


@EVERY
def test_the_weight_is_the_users(component: ComponentSpec[Objective]) -> None:
    _, encoder = build(component)
    assert component.build({**needed(component), "weight": 0.25}, encoder).weight == 0.25
