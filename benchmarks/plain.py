"""MAE written as its paper tells it, step by step: every patch is embedded, every patch is predicted.

Our own writing, with the layers of timm and the parameter names of MAE's released checkpoints, so that the
same weights can be given to all references. What a loss never sees is computed here all the same: the
patches that are hidden from the encoder, the predictions of visible ones, the order put back.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmarks.size import Size
from cmae_ablate.tokens import patchify, sincos_positions


class PlainMae(nn.Module):
    """An MAE of a size.

    Args:
        size: Its widths and depths.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.patch = size.patch
        grid = (size.image // size.patch,) * 2
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, size.dim, size.patch, size.patch)})
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, size.dim))
        self.pos_embed = _positions(size.dim, grid)
        self.blocks = _blocks(size.dim, size.depth, size.heads)
        self.norm = norm(size.dim)
        self.decoder_embed = nn.Linear(size.dim, size.decoder_dim)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, size.decoder_dim))
        self.decoder_pos_embed = _positions(size.decoder_dim, grid)
        self.decoder_blocks = _blocks(size.decoder_dim, size.decoder_depth, size.decoder_heads)
        self.decoder_norm = norm(size.decoder_dim)
        self.decoder_pred = nn.Linear(size.decoder_dim, 3 * size.patch**2)

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """The loss on hidden patches: images (B, 3, H, W); of `noise` (B, N) the smallest quarter is seen."""
        ranks = noise.argsort(dim=1)
        places = ranks.argsort(dim=1)
        seen = noise.shape[1] // 4
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        visible = patches.gather(1, ranks[:, :seen, None].expand(-1, -1, patches.shape[2]))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        tokens = torch.cat([first, visible], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.decoder_embed(self.norm(tokens))
        hidden = self.mask_token.expand(len(images), noise.shape[1] - seen, -1)
        every = torch.cat([tokens[:, 1:], hidden], dim=1)
        every = every.gather(1, places[:, :, None].expand(-1, -1, every.shape[2]))
        tokens = torch.cat([tokens[:, :1], every], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            tokens = block(tokens)
        predicted = self.decoder_pred(self.decoder_norm(tokens))[:, 1:]
        target = patchify(images, self.patch)
        variance, mean = torch.var_mean(target, dim=-1, keepdim=True)
        errors = (predicted - (target - mean) / (variance + 1e-6) ** 0.5).square().mean(dim=-1)
        is_hidden = (places >= seen).float()
        loss: Tensor = (errors * is_hidden).sum() / is_hidden.sum()
        return loss


def _positions(dim: int, grid: tuple[int, int]) -> nn.Parameter:
    table = torch.cat([torch.zeros(1, dim), sincos_positions(dim, grid)])
    return nn.Parameter(table.unsqueeze(0), requires_grad=False)


def _blocks(dim: int, depth: int, heads: int) -> nn.ModuleList:
    norm = cast("type[nn.Module]", partial(nn.LayerNorm, eps=1e-6))
    return nn.ModuleList(Block(dim, heads, 4.0, qkv_bias=True, norm_layer=norm) for _ in range(depth))
