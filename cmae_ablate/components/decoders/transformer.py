"""MAE's transformer decoder."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from cmae_ablate.components.networks import View
from cmae_ablate.components.protocols import DECODERS
from cmae_ablate.components.vit_layers import (
    NORM_EPS,
    check_widths,
    initialise_as_mae,
    make_blocks,
    run_blocks,
    run_blocks_for,
)
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import gather_tokens, sincos_positions


@DECODERS.register("transformer", version=1)
class TransformerDecoder(nn.Module):
    """Transformer over visible tokens and mask tokens together, MAE's decoder.

    Source: He et al., arXiv 2111.06377, section 3; sizes and initialisation as its code. The smaller
    decoder that CMAE argues for is, in its first author's later code, depth 1, dim 128, heads 16.
    Different here: nothing in the numbers; two computations are left out where no loss sees them: the
    prediction on visible patches, and in the last block everything of visible tokens but their keys and
    values. `predict_all`, which an objective may ask for, computes them.

    Args:
        embed_dim: Width of the encoder's tokens.
        grid: Patches per column and per row.
        target_dim: Values to predict per patch.
        depth: Number of transformer blocks. Source: MAE, 8; SDMAE, 1.
        dim: Width of the decoder's tokens; divisible by 4 and by `heads`. Source: MAE, 512; SDMAE, 128.
        heads: Attention heads of a block. Source: MAE, 16; SDMAE, 16.
        mlp_ratio: Width of the MLP's hidden layer as a multiple of the tokens' width. Source: MAE, 4.
        narrowing: Divides `dim`, so that a study can ask for a smaller decoder at every scale. Source: MAE,
            1; SDMAE, 4 (128 for MAE's 512).

    Raises:
        UserError: `dim` is not divisible as said above, or not by `narrowing`.
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
        narrowing: Annotated[int, Field(ge=1, le=64)] = 1,
    ) -> None:
        super().__init__()
        if dim % narrowing:
            raise UserError(
                f"decoder.narrowing: dim {dim} is not divisible by {narrowing}; choose a divisor of it"
            )
        dim //= narrowing
        check_widths("decoder", dim, heads)
        self.embed = nn.Linear(embed_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        positions = torch.cat([torch.zeros(1, dim), sincos_positions(dim, grid)])
        self.register_buffer("pos_embed", positions.unsqueeze(0))
        self.blocks = make_blocks(dim, depth, heads, mlp_ratio)
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.pred = nn.Linear(dim, target_dim)
        initialise_as_mae(self)

    def forward(self, view: View) -> Tensor:
        """Predictions on hidden patches, (B, M, target_dim)."""
        tokens = self._sequence(view)
        hidden = run_blocks_for(self.blocks, tokens, view.tokens.shape[1])
        predictions: Tensor = self.pred(self.norm(hidden))
        return predictions

    def predict_all(self, view: View) -> Tensor:
        """Predictions for class token, visible and hidden patches in the mask's order, (B, 1 + N, Q)."""
        predictions: Tensor = self.pred(self.norm(run_blocks(self.blocks, self._sequence(view))))
        return predictions

    def _sequence(self, view: View) -> Tensor:
        """The decoder's input: class token, visible tokens, mask tokens, each with its position."""
        batch = len(view.tokens)
        table = self.pos_embed.expand(batch, -1, -1)
        # Attention does not care for the order of tokens, so nothing is sorted back into the image's
        # order as in MAE: class token, visible and hidden tokens stay together, each with its position.
        class_position = torch.zeros_like(view.mask.ids_keep[:, :1])
        given = torch.cat([class_position, view.mask.ids_keep + 1], dim=1)
        visible = self.embed(view.tokens) + gather_tokens(table, given)
        hidden = self.mask_token + gather_tokens(table, view.mask.ids_hidden + 1)
        return torch.cat([visible, hidden.to(visible.dtype)], dim=1)
