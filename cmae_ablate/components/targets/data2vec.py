"""Features of a slow copy of the encoder as target."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.components.ema import follow, frozen_copy
from cmae_ablate.components.networks import Encoder, offers
from cmae_ablate.components.protocols import TARGETS
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask, gather_tokens


@TARGETS.register("data2vec", version=1)
class Data2vecTarget(nn.Module):
    """Features of the whole image by a momentum copy of the encoder, data2vec's target.

    Source: Baevski et al., data2vec, arXiv 2202.03555, section 3: the outputs of the copy's last K blocks,
    each token normalised by its own mean and variance, averaged over the blocks; smooth L1 loss; the copy is
    the exponential moving average of the encoder. With decoder `simmim` it is data2vec, whose mask tokens
    enter the encoder; a decoder over visible tokens makes it a masked autoencoder that predicts features.
    Different here: the momentum does not rise (nor does it in their ViT-B recipe); the patch embedding is
    copied with all else; the encoder is MAE's, with fixed positions and without relative biases, LayerScale
    or drop path.

    Each step encodes every view a second time, whole and without gradient: its cost is counted. Nothing but
    the slow copy keeps features from collapsing: watch `knn`, and what the report says of collapse.

    Args:
        patch_size: Not read: what is predicted is as wide as the encoder.
        layers: K, the last blocks that are averaged; null is half of the encoder's, at least one. Source:
            data2vec, 6 of ViT-B's 12 and 18 of ViT-L's 24.
        beta: Error at which the loss turns from squared to absolute. Source: data2vec's ViT-B, 2.
        momentum: Part of the copy that is kept at each step. Source: data2vec's ViT-B, 0.9998, for 500,000
            steps and more; with a few hundred steps the copy would stay at its start: take less.
        final_norm: Whether the average is normalised once more. Source: data2vec's paper, false; the recipe
            of its ViT-B, true.

    Raises:
        UserError: `layers` is more than the encoder has.
    """

    teacher: Encoder

    def __init__(
        self,
        patch_size: int,
        *,
        layers: Annotated[int | None, Field(ge=1, le=128)] = None,
        beta: Annotated[float, Field(gt=0, le=1000)] = 2.0,
        momentum: Annotated[float, Field(ge=0, le=1)] = 0.9998,
        final_norm: bool = False,
    ) -> None:
        super().__init__()
        self._layers = layers
        self._beta = beta
        self._momentum = momentum
        self._final_norm = final_norm

    def attach(self, encoder: Encoder) -> None:
        """Copy the encoder as it is before training."""
        if not offers(encoder, "block_outputs"):
            raise UserError(
                "target 'data2vec' reads the outputs of the encoder's blocks, and a "
                f"{type(encoder).__name__} does not give them; give it the method block_outputs() that "
                "cmae_ablate.slots.Encoder describes, or choose another target"
            )
        if self._layers is not None and self._layers > encoder.depth:
            raise UserError(
                f"target.layers: {self._layers} blocks are to be averaged, and the encoder has "
                f"{encoder.depth}; set target.layers to {encoder.depth} or less"
            )
        self.teacher = frozen_copy(encoder)

    def dim(self) -> int:
        """The encoder's width."""
        return self.teacher.embed_dim

    @torch.no_grad()
    def forward(self, images: Tensor, mask: PatchMask) -> Tensor:
        """Averaged features of hidden patches, (B, M, D), float32."""
        count = self._layers or max(1, self.teacher.depth // 2)
        outputs = self.teacher.block_outputs(images)[-count:]
        normed = [_normalised(gather_tokens(each[:, 1:], mask.ids_hidden)) for each in outputs]
        mean = torch.stack(normed).mean(dim=0)
        return _normalised(mean) if self._final_norm else mean

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Smooth L1: squared over 2 beta for errors up to beta, absolute less beta/2 beyond, a scalar."""
        return functional.smooth_l1_loss(predictions, targets, beta=self._beta)

    def to_pixels(self, predictions: Tensor, images: Tensor, mask: PatchMask) -> None:
        """None: features are no picture."""

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """Let the copy follow the encoder."""
        follow(self.teacher, encoder, self._momentum)


def _normalised(tokens: Tensor) -> Tensor:
    """LayerNorm without parameters, in float32."""
    return functional.layer_norm(tokens.float(), tokens.shape[-1:])
