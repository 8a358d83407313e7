"""Functions on timm's transformer blocks that several components share: MAE's blocks and initialisation."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.errors import UserError

if TYPE_CHECKING:
    from timm.layers.attention import Attention

NORM_EPS = 1e-6
"""Epsilon of every LayerNorm, as in MAE; torch's default is 1e-5."""


def check_widths(slot: str, dim: int, heads: int) -> None:
    """Refuse a width that heads or sine-cosine positions cannot divide.

    Args:
        slot: Where the user set them, such as `decoder`.
        dim: Width of the tokens.
        heads: Attention heads.

    Raises:
        UserError: `heads` does not divide `dim`, or 4 does not.
    """
    if dim % heads:
        fitting = [count for count in range(1, min(dim, 64) + 1) if dim % count == 0]
        raise UserError(
            f"{slot}: dim {dim} is not divisible by heads {heads}; "
            f"set {slot}.heads to {', '.join(map(str, fitting))}, or another {slot}.dim"
        )
    if dim % 4:
        raise UserError(
            f"{slot}: dim {dim} is not divisible by 4, as sine-cosine positions need; "
            f"set {slot}.dim to {dim + 4 - dim % 4}"
        )


def make_blocks(dim: int, depth: int, heads: int, mlp_ratio: float) -> nn.ModuleList:
    """MAE's transformer blocks: pre-norm, biased qkv, GELU, no dropout; not initialised yet."""

    from timm.models.vision_transformer import Block

    norm_layer = cast(type[nn.Module], partial(nn.LayerNorm, eps=NORM_EPS))
    return nn.ModuleList(
        Block(dim, heads, mlp_ratio, qkv_bias=True, norm_layer=norm_layer) for _ in range(depth)
    )


def initialise_as_mae(module: nn.Module) -> None:
    """Initialise every linear layer (Xavier uniform, bias 0) and LayerNorm (1 and 0) inside `module`."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def initialise_again(module: nn.Module) -> None:
    """Give every part of a trained module the values that it has before any training.

    As `initialise_as_mae`; what else has parameters, such as LayerScale, starts as it says itself.

    Raises:
        UserError: A part does not say how it starts.
    """
    initialise_as_mae(module)
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.LayerNorm) or not list(part.parameters(recurse=False)):
            continue
        reset = getattr(part, "reset_parameters", None)
        if reset is None:
            raise UserError(
                f"backbone: a {type(part).__name__} cannot be initialised anew, as controls need; "
                "give it a method reset_parameters()"
            )
        reset()


def run_blocks(blocks: Iterable[nn.Module], tokens: Tensor) -> Tensor:
    """Tokens (B, K, D) through all blocks."""
    for block in blocks:
        tokens = block(tokens)
    return tokens


def run_blocks_for(blocks: nn.ModuleList, tokens: Tensor, first: int) -> Tensor:
    """Run all blocks, and compute of the last one only what the tokens from `first` on need.

    The same numbers as `run_blocks(blocks, tokens)[:, first:]`: in the last block nothing reads the
    other tokens any more, so they serve as keys and values only.

    Args:
        blocks: At least one timm block.
        tokens: (B, K, D).
        first: The first of the wanted tokens, in [0, K).

    Returns:
        (B, K - first, D).
    """

    from timm.layers.attention import Attention
    from timm.models.vision_transformer import Block

    tokens = run_blocks(blocks[:-1], tokens)
    block = blocks[-1]
    assert isinstance(block, Block) and isinstance(block.attn, Attention)
    normed = block.norm1(tokens)
    query, key, value = split_heads(block.attn, normed[:, first:], normed)
    attended = functional.scaled_dot_product_attention(query, key, value)
    attended = block.attn.proj(block.attn.norm(attended.transpose(1, 2).flatten(2)))
    wanted = tokens[:, first:] + block.drop_path1(block.ls1(attended))
    result: Tensor = wanted + block.drop_path2(block.ls2(block.mlp(block.norm2(wanted))))
    return result


def split_heads(attention: Attention, queries: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries of some tokens, keys and values of others, by the one `qkv` layer of `attention`.

    Args:
        attention: timm's attention.
        queries: (B, A, D).
        context: (B, K, D).

    Returns:
        Query (B, heads, A, D / heads), key and value (B, heads, K, D / heads).
    """
    width = attention.attn_dim
    weight, bias = attention.qkv.weight, attention.qkv.bias
    query_bias, context_bias = (None, None) if bias is None else (bias[:width], bias[width:])
    query = functional.linear(queries, weight[:width], query_bias)
    key, value = functional.linear(context, weight[width:], context_bias).chunk(2, dim=-1)
    query, key, value = (
        part.reshape(*part.shape[:2], attention.num_heads, attention.head_dim).transpose(1, 2)
        for part in (query, key, value)
    )
    return attention.q_norm(query), attention.k_norm(key), value
