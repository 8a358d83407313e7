"""The cross-attention decoder."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from cmae_ablate.components.decoders.cross_attention import CrossAttentionDecoder, CrossBlock
from cmae_ablate.components.networks import View
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask

GRID = (4, 3)


def make() -> tuple[CrossAttentionDecoder, View]:
    torch.manual_seed(0)
    decoder = CrossAttentionDecoder(24, GRID, 48, depth=2, dim=32, heads=4)
    mask = PatchMask.from_scores(torch.rand(2, 12), 3)
    return decoder, View(torch.randn(2, 3, 16, 12), mask, torch.randn(2, 4, 24))


def test_a_block_agrees_with_torchs_multi_head_attention() -> None:
    torch.manual_seed(0)
    block = CrossBlock(32, 4, 4.0)
    queries, context = torch.randn(2, 5, 32), torch.randn(2, 7, 32)
    attended, _ = functional.multi_head_attention_forward(
        block.norm1(queries).transpose(0, 1),
        context.transpose(0, 1),
        context.transpose(0, 1),
        embed_dim_to_check=32,
        num_heads=4,
        in_proj_weight=torch.cat([block.query.weight, block.key_value.weight]),
        in_proj_bias=torch.cat([block.query.bias, block.key_value.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=block.proj.weight,
        out_proj_bias=block.proj.bias,
        need_weights=False,
    )
    after = queries + attended.transpose(0, 1)
    expected = after + block.mlp.fc2(functional.gelu(block.mlp.fc1(block.norm2(after))))
    assert_close(block(queries, context), expected, rtol=1e-5, atol=1e-5)


def test_each_hidden_patch_is_predicted_on_its_own() -> None:
    decoder, view = make()
    together = decoder(view)
    for order in range(9):
        mask = PatchMask(view.mask.ids_keep, view.mask.ids_hidden[:, order : order + 1])
        assert_close(
            decoder(View(view.images, mask, view.tokens))[:, 0], together[:, order], rtol=1e-5, atol=1e-5
        )


def test_where_a_visible_token_stands_is_known() -> None:
    decoder, view = make()
    swapped = PatchMask(view.mask.ids_keep.flip(1), view.mask.ids_hidden)
    assert not torch.allclose(decoder(view), decoder(View(view.images, swapped, view.tokens)), atol=1e-4)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(UserError, match=r"decoder: dim 32 is not divisible by heads 5"):
        CrossAttentionDecoder(24, GRID, 48, dim=32, heads=5)
