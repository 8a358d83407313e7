"""What every registered backbone must hold, ours and plug-ins' alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.testing import assert_close

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.protocols import BACKBONES
from cmae_ablate.components.registry import ComponentSpec
from cmae_ablate.runtime import seeded
from cmae_ablate.tokens import PatchMask
from tests.contracts.cases import each

load_components()
EVERY = each(BACKBONES)
SMALL = {"dim": 24, "depth": 2, "heads": 3, "patch": 16, "model": "test_vit"}
IMAGE_SIZE = 80
"""Five patches a side: an odd grid."""


def small(component: ComponentSpec[Any]) -> dict[str, object]:
    return {key: value for key, value in SMALL.items() if key in component.options.model_fields}


def build(component: ComponentSpec[Encoder], seed: int = 0) -> tuple[Encoder, nn.Module]:
    """The same object twice: as what it does, and as a module."""
    options = (
        {"path": str(weights_of(seed)), "heads": SMALL["heads"]} if component.files else small(component)
    )
    with seeded(seed, "backbone"):
        encoder = component.build(options, IMAGE_SIZE)
    return encoder, cast(nn.Module, encoder)


@cache
def weights_of(seed: int) -> Path:
    """A file for backbones that read one: what seeds are to the others."""
    path = Path(mkdtemp()) / "weights.safetensors"
    save_file(build(BACKBONES["vit"], seed)[1].state_dict(), path)
    return path


def draw(encoder: Encoder, batch: int, visible: int) -> tuple[Tensor, PatchMask]:
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, IMAGE_SIZE, IMAGE_SIZE, generator=rng)
    return images, PatchMask.from_scores(torch.rand(batch, encoder.num_patches, generator=rng), visible)


@EVERY
@pytest.mark.parametrize(("batch", "visible"), [(1, 1), (3, 6)])
def test_masked_images_give_a_class_token_and_one_token_a_visible_patch(
    component: ComponentSpec[Encoder], batch: int, visible: int
) -> None:
    encoder, _ = build(component)
    tokens = encoder.encode(*draw(encoder, batch, visible))
    assert tokens.shape == (batch, 1 + visible, encoder.embed_dim)
    assert tokens.isfinite().all()


@EVERY
def test_sizes_say_what_the_encoder_does(component: ComponentSpec[Encoder]) -> None:
    encoder, _ = build(component)
    assert encoder.image_size == IMAGE_SIZE
    assert encoder.grid == (IMAGE_SIZE // encoder.patch_size,) * 2
    assert encoder.num_patches == encoder.grid[0] * encoder.grid[1]


@EVERY
def test_no_mask_is_the_mask_that_shows_everything(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)
    module.eval()
    images, _ = draw(encoder, 2, 1)
    everything = torch.arange(encoder.num_patches).expand(2, -1)
    mask = PatchMask(everything, everything[:, :0])
    assert_close(encoder.encode(images, None), encoder.encode(images, mask), rtol=1e-5, atol=1e-5)


@EVERY
def test_hidden_patches_change_nothing(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)
    module.eval()
    images, mask = draw(encoder, 2, 6)
    rows, columns = mask.hidden.view(2, *encoder.grid), encoder.patch_size
    covered = rows.repeat_interleave(columns, 1).repeat_interleave(columns, 2).unsqueeze(1)
    assert_close(encoder.encode(images, mask), encoder.encode(images.masked_fill(covered, 9.0), mask))


@EVERY
def test_tokens_follow_the_order_in_which_visible_patches_are_given(
    component: ComponentSpec[Encoder],
) -> None:
    encoder, module = build(component)
    module.eval()
    images, mask = draw(encoder, 2, 6)
    backwards = PatchMask(mask.ids_keep.flip(1), mask.ids_hidden)
    tokens, reversed_tokens = encoder.encode(images, mask), encoder.encode(images, backwards)
    assert_close(tokens[:, :1], reversed_tokens[:, :1], rtol=1e-5, atol=1e-5)
    assert_close(tokens[:, 1:].flip(1), reversed_tokens[:, 1:], rtol=1e-5, atol=1e-5)


@EVERY
def test_without_positions_tokens_do_not_tell_where_they_are_from(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)
    module.eval()
    patch = encoder.patch_size
    images = torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    images[..., :patch, :patch] = torch.randn(3, patch, patch, generator=torch.Generator().manual_seed(3))
    moved = images.roll((patch, patch), dims=(2, 3))
    start, elsewhere = torch.tensor([[0, 3]]), torch.tensor([[encoder.grid[1] + 1, 3]])
    rest = torch.tensor([[]], dtype=torch.int64)
    tokens = encoder.encode(images, PatchMask(start, rest), positions=False)
    assert_close(tokens, encoder.encode(moved, PatchMask(elsewhere, rest), positions=False))
    known = encoder.encode(images, PatchMask(start, rest))
    assert not torch.allclose(known, encoder.encode(moved, PatchMask(elsewhere, rest)), atol=1e-3)


@EVERY
def test_positions_may_be_given_token_by_token(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)
    module.eval()
    images, mask = draw(encoder, 2, 6)
    for whole in (True, False):
        each = torch.full((2, 6), whole)
        assert_close(
            encoder.encode(images, mask, positions=each), encoder.encode(images, mask, positions=whole)
        )
    mixed = torch.tensor([[True] * 6, [False] * 6])
    tokens = encoder.encode(images, mask, positions=mixed)
    assert_close(tokens[0], encoder.encode(images, mask)[0], rtol=1e-5, atol=1e-5)
    assert_close(tokens[1], encoder.encode(images, mask, positions=False)[1], rtol=1e-5, atol=1e-5)


@EVERY
def test_class_attention_is_a_part_of_one_for_each_patch(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)
    module.eval()
    heat = encoder.class_attention(draw(encoder, 3, 1)[0])
    assert heat.shape == (3, encoder.num_patches)
    assert (heat > 0).all()
    assert (heat.sum(1) < 1).all()


@EVERY
def test_bf16_autocast_comes_near_fp32(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)
    module.eval()
    images, mask = draw(encoder, 2, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens = encoder.encode(images, mask)
        heat = encoder.class_attention(images)
    assert heat.isfinite().all()
    assert_close(tokens.float(), encoder.encode(images, mask), rtol=0.1, atol=0.1)
    tokens.square().sum().backward()  # type: ignore[no-untyped-call]
    trained = [value for value in module.parameters() if value.requires_grad]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in trained)


@EVERY
def test_gradients_reach_every_trained_parameter(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)
    tokens = encoder.encode(*draw(encoder, 2, 6))
    # A plain sum would not do: LayerNorm makes it constant.
    (tokens * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(2))).sum().backward()  # type: ignore[no-untyped-call]
    # Of `qkv.bias` the keys' third gets none: it adds the same to all logits of a query. The rest does.
    trained = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
    without = [name for name, value in trained if value.grad is None or not value.grad.any()]
    assert without == []


@EVERY
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    component: ComponentSpec[Encoder],
) -> None:
    first, again, other = (build(component, seed)[1].state_dict() for seed in (0, 0, 1))
    assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first["cls_token"], other["cls_token"])


@EVERY
def test_state_goes_over_into_another_encoder(component: ComponentSpec[Encoder]) -> None:
    (encoder, module), (other, other_module) = build(component, 0), build(component, 1)
    other_module.load_state_dict(module.state_dict())
    images, mask = draw(encoder, 2, 6)
    assert_close(encoder.encode(images, mask), other.encode(images, mask), rtol=0, atol=0)


@EVERY
def test_encoding_draws_no_random_numbers(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)
    module.eval()
    before = torch.random.get_rng_state()
    encoder.encode(*draw(encoder, 2, 6))
    assert torch.equal(before, torch.random.get_rng_state())


@EVERY
def test_a_fresh_encoder_remembers_nothing_of_what_was_learnt(component: ComponentSpec[Encoder]) -> None:
    encoder, module = build(component)

    def fresh(seed: int) -> dict[str, Tensor]:
        with seeded(seed, "fresh"):
            return cast(nn.Module, encoder.fresh()).state_dict()

    before, other = fresh(1), fresh(2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2.0).add_(1.0)
    after = fresh(1)
    assert {name: value.shape for name, value in before.items()} == {
        name: value.shape for name, value in module.state_dict().items()
    }
    assert all(torch.equal(after[name], value) for name, value in before.items())
    drawn = [name for name, value in before.items() if value.ndim > 1 and name != "pos_embed"]
    assert drawn
    assert not any(torch.equal(other[name], before[name]) for name in drawn)
