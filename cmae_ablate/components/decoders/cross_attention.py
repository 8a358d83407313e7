"""A decoder whose mask queries look at visible tokens and at nothing else."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.components.networks import View
from cmae_ablate.components.protocols import DECODERS
from cmae_ablate.components.vit_layers import NORM_EPS, check_widths, initialise_as_mae
from cmae_ablate.tokens import gather_tokens, sincos_positions


@DECODERS.register("cross_attention", version=1)
class CrossAttentionDecoder(nn.Module):
    """Mask queries that attend to the visible tokens, each on its own: no self-attention, CrossMAE's decoder.

    Source: Fu et al., Rethinking Patch Dependence for Masked Autoencoders (CrossMAE), arXiv 2401.14391.
    Different here: to leave one difference to MAE's decoder, the default sizes are MAE's
    (CrossMAE: depth 12), every block reads the encoder's last tokens (CrossMAE: a learned mix of all its
    blocks), and all hidden patches are predicted (CrossMAE: optionally a part). Visible tokens get the
    decoder's positions too, as in MAE.

    Args:
        embed_dim: Width of the encoder's tokens.
        grid: Patches per column and per row.
        target_dim: Values to predict per patch.
        depth: Number of cross-attention blocks. Source: CrossMAE, 12; here MAE's 8, to differ from it in one
            thing.
        dim: Width of the decoder's tokens; divisible by 4 and by `heads`. Source: CrossMAE and MAE, 512.
        heads: Attention heads of a block. Source: CrossMAE and MAE, 16.
        mlp_ratio: Width of the MLP's hidden layer as a multiple of `dim`. Source: CrossMAE and MAE, 4.

    Raises:
        UserError: `dim` is not divisible as said above.
    """

    pos_embed: Tensor

    def __init__(
        self,
        embed_dim: int,
        grid: tuple[int, int],
        target_dim: int,
        *,
        depth: Annotated[int, Field(ge=1, le=64)] = 8,
        dim: Annotated[int, Field(ge=4, le=4096)] = 512,
        heads: Annotated[int, Field(ge=1, le=128)] = 16,
        mlp_ratio: Annotated[float, Field(gt=0, le=16)] = 4.0,
    ) -> None:
        super().__init__()
        check_widths("decoder", dim, heads)
        self.embed = nn.Linear(embed_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.register_buffer("pos_embed", sincos_positions(dim, grid).unsqueeze(0))
        self.blocks = nn.ModuleList(CrossBlock(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.pred = nn.Linear(dim, target_dim)
        initialise_as_mae(self)

    def forward(self, view: View) -> Tensor:
        """Predictions on hidden patches, (B, M, target_dim)."""
        table = self.pos_embed.expand(len(view.tokens), -1, -1)
        embedded = self.embed(view.tokens)
        visible = embedded[:, 1:] + gather_tokens(table, view.mask.ids_keep)
        context = torch.cat([embedded[:, :1].to(visible.dtype), visible], dim=1)
        queries = self.mask_token + gather_tokens(table, view.mask.ids_hidden)
        for block in self.blocks:
            queries = block(queries, context)
        predictions: Tensor = self.pred(self.norm(queries))
        return predictions


class CrossBlock(nn.Module):
    """One pre-norm block: cross-attention to the context, then an MLP.

    Args:
        dim: Width of queries and context.
        heads: Attention heads; divides `dim`.
        mlp_ratio: Width of the MLP's hidden layer as a multiple of `dim`.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        from timm.layers.mlp import Mlp

        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """Queries (B, M, D) after a look at the context (B, K, D)."""
        key, value = self.key_value(context).chunk(2, dim=-1)
        heads = [self._split(part) for part in (self.query(self.norm1(queries)), key, value)]
        attended = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        queries = queries + self.proj(attended.transpose(1, 2).flatten(2))
        result: Tensor = queries + self.mlp(self.norm2(queries))
        return result

    def _split(self, tokens: Tensor) -> Tensor:
        batch, count, dim = tokens.shape
        return tokens.reshape(batch, count, self.heads, dim // self.heads).transpose(1, 2)
