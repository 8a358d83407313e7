"""What every registered decoder must hold, ours and plug-ins' alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.networks import View
from cmae_ablate.components.protocols import DECODERS, Decoder, FillsEncoder
from cmae_ablate.components.registry import ComponentSpec
from cmae_ablate.runtime import seeded
from cmae_ablate.tokens import PatchMask
from tests.contracts.cases import each

load_components()
EVERY = each(DECODERS)
SMALL = {"depth": 2, "dim": 16, "heads": 2}
EMBED_DIM, TARGET_DIM, PATCH = 12, 20, 4
GRID = (5, 3)


def small(component: ComponentSpec[Any]) -> dict[str, object]:
    return {key: value for key, value in SMALL.items() if key in component.options.model_fields}


def build(component: ComponentSpec[Decoder], grid: tuple[int, int] = GRID, seed: int = 0) -> nn.Module:
    with seeded(seed, "decoder"):
        return cast(nn.Module, component.build(small(component), EMBED_DIM, grid, TARGET_DIM))


def view(batch: int = 2, visible: int = 4, grid: tuple[int, int] = GRID) -> View:
    rng = torch.Generator().manual_seed(1)
    num_patches = grid[0] * grid[1]
    mask = PatchMask.from_scores(torch.rand(batch, num_patches, generator=rng), visible)
    images = torch.randn(batch, 3, grid[0] * PATCH, grid[1] * PATCH, generator=rng)
    return View(images, mask, torch.randn(batch, 1 + visible, EMBED_DIM, generator=rng))


def decode(decoder: nn.Module, given: View) -> Tensor:
    """Predictions; where the decoder's mask token enters the encoder, of what a stand-in makes of it there.

    That is: the filling, the hidden patch's place, and something of all visible tokens.
    """
    if isinstance(decoder, FillsEncoder):
        num_patches = given.mask.ids_keep.shape[1] + given.mask.ids_hidden.shape[1]
        rng = torch.Generator().manual_seed(5)
        places = torch.randn(num_patches, EMBED_DIM, generator=rng)[given.mask.ids_hidden]
        seen = given.tokens[:, 1:].square().mean(dim=1, keepdim=True)
        given = replace(given, hidden=decoder.filling() + places + seen)
    return cast(Tensor, decoder(given))


@EVERY
@pytest.mark.parametrize("grid", [(5, 3), (2, 2), (1, 7)])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("visible", [1, 3])
def test_each_hidden_patch_gets_a_finite_prediction(
    component: ComponentSpec[Decoder], grid: tuple[int, int], batch: int, visible: int
) -> None:
    predictions = decode(build(component, grid), view(batch, visible, grid))
    assert predictions.shape == (batch, grid[0] * grid[1] - visible, TARGET_DIM)
    assert predictions.isfinite().all()


@EVERY
def test_predictions_follow_the_order_of_the_hidden_patches(component: ComponentSpec[Decoder]) -> None:
    decoder, given = build(component), view()
    backwards = View(
        given.images, PatchMask(given.mask.ids_keep, given.mask.ids_hidden.flip(1)), given.tokens
    )
    assert_close(decode(decoder, given).flip(1), decode(decoder, backwards), rtol=1e-5, atol=1e-6)


@EVERY
def test_the_order_of_visible_patches_does_not_matter(component: ComponentSpec[Decoder]) -> None:
    decoder, given = build(component), view()
    tokens = torch.cat([given.tokens[:, :1], given.tokens[:, 1:].flip(1)], dim=1)
    turned = View(given.images, PatchMask(given.mask.ids_keep.flip(1), given.mask.ids_hidden), tokens)
    assert_close(decode(decoder, given), decode(decoder, turned), rtol=1e-5, atol=1e-6)


@EVERY
def test_images_of_a_batch_are_decoded_one_by_one(component: ComponentSpec[Decoder]) -> None:
    decoder, given = build(component), view()
    second = View(
        given.images[1:],
        PatchMask(given.mask.ids_keep[1:], given.mask.ids_hidden[1:]),
        given.tokens[1:],
    )
    assert_close(decode(decoder, given)[1:], decode(decoder, second), rtol=1e-5, atol=1e-6)


@EVERY
def test_pixels_of_the_view_are_not_looked_at(component: ComponentSpec[Decoder]) -> None:
    decoder, given = build(component), view()
    blind = View(torch.full_like(given.images, 7.0), given.mask, given.tokens)
    assert torch.equal(decode(decoder, given), decode(decoder, blind))


@EVERY
def test_bf16_autocast_comes_near_fp32(component: ComponentSpec[Decoder]) -> None:
    decoder = build(component)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predictions = decode(decoder, view())
    assert_close(predictions.float(), decode(decoder, view()), rtol=0.1, atol=0.1)
    square(predictions).backward()  # type: ignore[no-untyped-call]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in decoder.parameters())


@EVERY
def test_gradients_reach_every_parameter_and_the_visible_tokens(component: ComponentSpec[Decoder]) -> None:
    decoder, given = build(component), view()
    tokens = given.tokens.requires_grad_()
    square(decode(decoder, given)).backward()  # type: ignore[no-untyped-call]
    names = [name for name, value in decoder.named_parameters() if value.grad is None or not value.grad.any()]
    assert names == []
    assert tokens.grad is not None
    # The class token may be left out (the linear decoder does): the encoder's attention still trains it.
    assert (tokens.grad[:, 1:].abs().sum(-1) > 0).all()


@EVERY
def test_one_batch_can_be_fitted_better_than_by_its_mean(component: ComponentSpec[Decoder]) -> None:
    decoder, given = build(component), view()
    target = torch.randn(2, 11, TARGET_DIM, generator=torch.Generator().manual_seed(4))
    optimizer = torch.optim.Adam(decoder.parameters(), lr=3e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = square(decode(decoder, given) - target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss < 0.8 * square(target - target.mean(dim=(0, 1)))


@EVERY
def test_the_same_seed_gives_the_same_weights(component: ComponentSpec[Decoder]) -> None:
    first, again, other = (build(component, seed=seed).state_dict() for seed in (0, 0, 1))
    assert_close(first, again, rtol=0, atol=0)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@EVERY
def test_state_goes_over_into_another_decoder(component: ComponentSpec[Decoder]) -> None:
    decoder, other = build(component, seed=0), build(component, seed=1)
    other.load_state_dict(decoder.state_dict())
    assert torch.equal(decode(decoder, view()), decode(other, view()))


def square(values: Tensor) -> Tensor:
    return values.square().mean()
