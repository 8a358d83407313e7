"""SimMIM's one-layer head, whose mask token enters the encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmae_ablate.components.networks import View
from cmae_ablate.components.protocols import DECODERS


@DECODERS.register("simmim", version=1)
class SimMimDecoder(nn.Module):
    """Mask tokens in the encoder, which sees every position, and one linear layer on what becomes of them.

    Source: Xie et al., SimMIM, arXiv 2111.09886: a learnt token takes the place of each hidden patch's
    embedding, positions are added to all of them, and one linear layer predicts a hidden patch from the
    encoder's output there, after the final norm. With target `pixels_l1` it is SimMIM's loss, with `data2vec`
    data2vec's. Different here: the token belongs to this head and is left behind with it; positions are the
    backbone's (SimMIM: learnt relative biases); what is hidden is the masking's to say (SimMIM: squares of 32
    pixels, 60 % of them).

    The encoder works on all N positions, and not on the visible ones alone: with three quarters hidden about
    four times the FLOPs of MAE's encoder, which `flops.pretrain_image` counts. Objectives read the visible
    tokens, which have looked at the mask tokens; those that encode a view again do so without any.

    Args:
        embed_dim: Width of the encoder's tokens.
        grid: Patches per column and per row; not read.
        target_dim: Values to predict per patch.
    """

    def __init__(self, embed_dim: int, grid: tuple[int, int], target_dim: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)
        # Initialised as torch does, which is how SimMIM's convolution of one pixel is.
        self.pred = nn.Linear(embed_dim, target_dim)

    def filling(self) -> Tensor:
        """What the encoder gets for a hidden patch, (1, 1, D)."""
        return self.mask_token

    def forward(self, view: View) -> Tensor:
        """Predictions on hidden patches, (B, M, target_dim)."""
        assert view.hidden is not None, "the model fills the encoder for a decoder that has a filling"
        predictions: Tensor = self.pred(view.hidden)
        return predictions
