"""Small networks on top of the encoder that several objectives share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.components.objectives.gather import gather
from cmae_ablate.components.vit_layers import NORM_EPS, initialise_as_mae, make_blocks, run_blocks
from cmae_ablate.distributed import world
from cmae_ablate.errors import UserError

Feature = Literal["cls", "mean", "decoder"]
"""What of the visible tokens is projected."""

FeatureOrPrediction = Literal["cls", "mean", "decoder", "prediction"]
"""The same, or the decoder's predictions."""


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm over (B, E), of all ranks, that bears a batch of one image.

    One image has no variance, and torch refuses to train on it; such a step is normalised with the
    running statistics instead and leaves them alone. As a subclass it is still found by
    `nn.SyncBatchNorm.convert_sync_batchnorm`; but torch has none for CPUs, hence the few lines here.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and world()[1] > 1:
            return self._over_all_ranks(input)
        if self.training and len(input) == 1:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)

    def _over_all_ranks(self, input: Tensor) -> Tensor:
        """Normalise by the statistics of all ranks' rows, with the gradient through them."""
        with torch.autocast(input.device.type, enabled=False):
            values = input.to(torch.promote_types(input.dtype, torch.float32))
            own = torch.stack(torch.var_mean(values, dim=0, correction=0))
            variances, means = gather(own.unsqueeze(0)).unbind(dim=1)
            mean = means.mean(dim=0)
            variance = variances.mean(dim=0) + (means - mean).square().mean(dim=0)
            self._remember(mean.detach(), variance.detach(), len(means) * len(values))
            normed = (values - mean) * (variance + self.eps).rsqrt()
            if self.affine:
                normed = normed * self.weight + self.bias
        return normed.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        self.num_batches_tracked.add_(1)


def batch_norm_mlp(widths: Sequence[int], *, final_norm: bool) -> nn.Sequential:
    """Linear layers without bias, each followed by BatchNorm and ReLU.

    Args:
        widths: Input, hidden and output widths, at least two.
        final_norm: Whether the last layer is followed by a BatchNorm without affine part, as in
            MoCo v3; else nothing follows it and it has a bias, as in most versions of BYOL (its authors'
            own has none there, and one in the hidden layer, which the BatchNorm takes away again).

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
    """One vector per image from a sequence: the encoder's visible tokens, or the decoder's predictions.

    Args:
        dim: Width of the sequence, D or Q.
        feature: `cls` for the class token, `mean` for the mean visible patch token, `decoder` for the
            mean output of a small transformer over the visible patch tokens, `prediction` for the class
            token's output of such a transformer over the whole sequence, without a final norm.
        branch_depth: Blocks of that transformer; unused otherwise.
        branch_heads: Its attention heads; unused otherwise.

    Raises:
        UserError: `branch_heads` does not divide the width.
    """

    def __init__(self, dim: int, feature: FeatureOrPrediction, branch_depth: int, branch_heads: int) -> None:
        super().__init__()
        self.feature = feature
        if feature in ("cls", "mean"):
            return
        if dim % branch_heads:
            whose = "encoder's" if feature == "decoder" else "predictions'"
            raise UserError(
                f"objectives.contrastive.branch_heads: {branch_heads} heads do not divide the {whose} "
                f"width of {dim}; choose a divisor of it"
            )
        self.blocks = make_blocks(dim, branch_depth, branch_heads, mlp_ratio=4.0)
        initialise_as_mae(self.blocks)
        if feature == "decoder":
            self.norm = nn.LayerNorm(dim, eps=NORM_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Class token first, then patches, (B, 1 + K, D), to (B, D)."""
        if self.feature == "cls":
            return tokens[:, 0]
        if self.feature == "prediction":
            return run_blocks(self.blocks, tokens)[:, 0]
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
