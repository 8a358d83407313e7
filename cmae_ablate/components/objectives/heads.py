"""Small networks on top of the encoder that several objectives share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.components.vit_layers import NORM_EPS, initialise_as_mae, make_blocks, run_blocks
from cmae_ablate.errors import UserError

Feature = Literal["cls", "mean", "decoder"]


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm over (B, E) that bears a batch of one image.

    One image has no variance, and torch refuses to train on it; such a step is normalised with the
    running statistics instead and leaves them alone. As a subclass it is still found by
    `nn.SyncBatchNorm.convert_sync_batchnorm`.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) == 1:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def batch_norm_mlp(widths: Sequence[int], *, final_norm: bool) -> nn.Sequential:
    """Linear layers without bias, each followed by BatchNorm and ReLU.

    Args:
        widths: Input, hidden and output widths, at least two.
        final_norm: Whether the last layer is followed by a BatchNorm without affine part, as in
            MoCo v3; else it has a bias and nothing follows it, as in BYOL.

    Returns:
        A network (B, widths[0]) -> (B, widths[-1]).
    """
    layers: list[nn.Module] = []
    for width, following in pairwise(widths[:-1]):
        layers += [nn.Linear(width, following, bias=False), BatchNorm(following), nn.ReLU(inplace=True)]
    layers.append(nn.Linear(widths[-2], widths[-1], bias=not final_norm))
    if final_norm:
        layers.append(BatchNorm(widths[-1], affine=False))
    return nn.Sequential(*layers)


class Pooling(nn.Module):
    """One vector per image from the encoder's visible tokens.

    Args:
        embed_dim: D.
        feature: `cls` for the class token, `mean` for the mean visible patch token, `decoder` for the
            mean output of a small transformer over the visible patch tokens.
        branch_depth: Blocks of that transformer; unused otherwise.
        branch_heads: Its attention heads; unused otherwise.

    Raises:
        UserError: `branch_heads` does not divide D.
    """

    def __init__(self, embed_dim: int, feature: Feature, branch_depth: int, branch_heads: int) -> None:
        super().__init__()
        self.feature = feature
        if feature != "decoder":
            return
        if embed_dim % branch_heads:
            raise UserError(
                f"objectives.contrastive.branch_heads: {branch_heads} heads do not divide the encoder's "
                f"width of {embed_dim}; choose a divisor of it"
            )
        self.blocks = make_blocks(embed_dim, branch_depth, branch_heads, mlp_ratio=4.0)
        initialise_as_mae(self.blocks)
        self.norm = nn.LayerNorm(embed_dim, eps=NORM_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Class token and visible patch tokens (B, 1 + V, D) to (B, D)."""
        if self.feature == "cls":
            return tokens[:, 0]
        patches = tokens[:, 1:]
        if self.feature == "decoder":
            patches = self.norm(run_blocks(self.blocks, patches))
        return patches.mean(dim=1)


def position_head(embed_dim: int, num_patches: int, activation: Literal["none", "gelu"]) -> nn.Sequential:
    """Two linear layers D -> D/2 -> N from a token to scores of its position."""
    hidden = max(embed_dim // 2, 1)
    between: list[nn.Module] = [nn.GELU()] if activation == "gelu" else []
    head = nn.Sequential(nn.Linear(embed_dim, hidden), *between, nn.Linear(hidden, num_patches))
    initialise_as_mae(head)
    return head
