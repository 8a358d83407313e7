"""The vision transformer by sizes."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from scipy import stats
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.testing import assert_close

from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.components.decoders.transformer import TransformerDecoder
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.components.vit_layers import run_blocks, run_blocks_for
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask, sincos_positions


def make_encoder() -> VitEncoder:
    torch.manual_seed(0)
    encoder: VitEncoder = vit(24, dim=32, depth=2, heads=4, patch=8)
    return encoder.eval()


def make_images(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 24, 24, generator=torch.Generator().manual_seed(1))


def test_visible_patches_are_embedded_as_the_convolution_embeds_them() -> None:
    encoder, images = make_encoder(), make_images()
    encoder.blocks, encoder.norm = nn.ModuleList(), nn.Identity()
    embedded = encoder.patch_embed.proj(images).flatten(2).transpose(1, 2) + encoder.pos_embed[:, 1:]
    mask = PatchMask.from_scores(torch.rand(2, 9, generator=torch.Generator().manual_seed(2)), 4)
    tokens = encoder.encode(images, mask)
    for image in range(2):
        assert_close(tokens[image, 1:], embedded[image, mask.ids_keep[image]], rtol=1e-5, atol=1e-5)
        assert_close(tokens[image, 0], encoder.cls_token[0, 0])


def test_all_patches_are_encoded_as_timm_does() -> None:
    encoder, images = make_encoder(), make_images()
    reference = VisionTransformer(
        img_size=24, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=0, norm_layer="layernorm"
    ).eval()
    reference.load_state_dict(encoder.state_dict())
    for norm in (part for part in reference.modules() if isinstance(part, nn.LayerNorm)):
        norm.eps = 1e-6
    assert_close(encoder.encode(images, None), reference.forward_features(images), rtol=1e-5, atol=1e-5)


def test_the_final_norm_can_be_left_out() -> None:
    encoder, images = make_encoder(), make_images()
    raw = encoder.encode(images, None, norm=False)
    assert_close(encoder.norm(raw), encoder.encode(images, None))


def test_positions_are_the_fixed_table_with_zeros_for_the_class_token() -> None:
    encoder = make_encoder()
    assert not encoder.pos_embed[0, 0].any()
    assert torch.equal(encoder.pos_embed[0, 1:], sincos_positions(32, (3, 3)))
    assert "pos_embed" not in dict(encoder.named_parameters())


def test_class_attention_is_the_softmax_of_the_last_block() -> None:
    encoder, images = make_encoder(), make_images()
    last = cast(Any, encoder.blocks[-1])
    tokens = last.norm1(run_blocks(encoder.blocks[:-1], tokens_before_blocks(encoder, images)))
    qkv = last.attn.qkv(tokens)
    expected = torch.zeros(2, 9)
    for head in range(4):
        query = qkv[:, 0, head * 8 : head * 8 + 8]
        keys = qkv[:, :, 32 + head * 8 : 32 + head * 8 + 8]
        logits = torch.stack([(query * keys[:, place]).sum(-1) for place in range(10)], 1) / math.sqrt(8)
        expected += logits.softmax(1)[:, 1:] / 4
    assert_close(encoder.class_attention(images), expected, rtol=1e-5, atol=1e-6)


def tokens_before_blocks(encoder: VitEncoder, images: Tensor) -> Tensor:
    patches = encoder.patch_embed.proj(images).flatten(2).transpose(1, 2)
    tokens = torch.cat([encoder.cls_token.expand(len(images), -1, -1), patches], dim=1)
    return tokens + encoder.pos_embed


@pytest.mark.parametrize("first", [0, 3, 9])
def test_a_last_block_for_some_tokens_gives_what_it_gives_for_all(first: int) -> None:
    blocks = make_encoder().blocks
    tokens = torch.randn(2, 10, 32, generator=torch.Generator().manual_seed(3), requires_grad=True)
    whole, part = run_blocks(blocks, tokens)[:, first:], run_blocks_for(blocks, tokens, first)
    assert_close(part, whole, rtol=1e-5, atol=1e-6)
    gradients = [
        torch.autograd.grad(output.square().sum(), [tokens, *blocks.parameters()]) for output in (whole, part)
    ]
    assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)


def test_a_frozen_patch_embedding_is_drawn_alike_and_stays_as_it_is_drawn() -> None:
    encoders = []
    for trained in (True, False):
        torch.manual_seed(0)
        encoders.append(vit(24, dim=32, depth=1, heads=4, patch=8, train_patch_embedding=trained))
    assert_close(encoders[0].state_dict(), encoders[1].state_dict(), rtol=0, atol=0)
    held = {name for name, value in encoders[1].named_parameters() if not value.requires_grad}
    assert held == {"patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert all(value.requires_grad for value in encoders[0].parameters())


def test_initialisation_is_that_of_mae() -> None:
    torch.manual_seed(0)
    encoder: VitEncoder = vit(32, dim=192, depth=1, heads=3, patch=8)
    block = cast(Any, encoder.blocks[0])
    # Xavier: uniform on [-a, a], a = sqrt(6 / (in + out)); qkv and the flattened patch are one layer each.
    for weight, fan in (
        (block.attn.qkv.weight, 192 + 3 * 192),
        (encoder.patch_embed.proj.weight, 3 * 64 + 192),
    ):
        bound = math.sqrt(6 / fan)
        assert 0.999 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert not block.attn.qkv.bias.any()
    # 192 values of standard deviation 0.02: outside +-25 % with a probability below 1e-6.
    assert encoder.cls_token.std().item() == pytest.approx(0.02, rel=0.25)
    assert (block.norm1.weight == 1).all()
    assert not block.norm1.bias.any()
    assert {part.eps for part in encoder.modules() if isinstance(part, nn.LayerNorm)} == {1e-6}


def test_every_weight_of_a_whole_mae_is_drawn_as_mae_draws_it() -> None:
    torch.manual_seed(1)
    encoder = vit(32, dim=96, depth=2, heads=3, patch=8)
    decoder = TransformerDecoder(96, (4, 4), 192, depth=2, dim=64, heads=4)
    tested = 0
    for part in (encoder, decoder):
        for name, value in part.named_parameters():
            drawn = value.detach().flatten().double().numpy()
            if "norm" in name:
                assert (drawn == name.endswith("weight")).all(), name
            elif name.endswith("bias") and name != "patch_embed.proj.bias":
                assert not drawn.any(), name
            elif name.endswith("_token"):
                assert stats.kstest(drawn / 0.02, "norm").pvalue > 1e-5, name
                tested += 1
            elif value.ndim > 1:
                bound = math.sqrt(6 / (value.shape[0] + value[0].numel()))
                assert stats.kstest(drawn, "uniform", args=(-bound, 2 * bound)).pvalue > 1e-5, name
                tested += 1
    # 21 tests at 1e-5 each: a false alarm in 1 of 4,000 choices of the seed.
    assert tested == 21
    # MAE's own initialisation passes over convolutions, so that this bias keeps torch's: 1 / sqrt(3 * 64).
    bias = encoder.patch_embed.proj.bias
    assert bias is not None
    assert stats.kstest(bias.detach().numpy(), "uniform", args=(-(192**-0.5), 2 * 192**-0.5)).pvalue > 1e-5


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"dim": 30, "heads": 4}, r"dim 30 is not divisible by heads 4; set backbone\.heads to 1, 2, 3"),
        ({"dim": 30, "heads": 3}, r"dim 30 is not divisible by 4.*set backbone\.dim to 32"),
        ({"patch": 7}, r"24 pixels cannot be cut into patches of 7"),
    ],
)
def test_sizes_that_do_not_divide_are_refused_with_a_remedy(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        vit(24, **{"depth": 1, "dim": 32, "heads": 4, "patch": 8, **sizes})
