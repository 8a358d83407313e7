"""Encoders and objectives, networks both, and what passes between them.

They stand apart from `protocols`, which is read without torch. Shapes as in `tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cmae_ablate.tokens import PatchMask


class Encoder(nn.Module):
    """A vision transformer. Built from `(image_size: int)`.

    `encode_filled`, `block_outputs` and `depth` are asked for by some components only; an encoder without
    them is refused there, and fits everywhere else.
    """

    embed_dim: int
    depth: int
    patch_size: int
    image_size: int
    grid: tuple[int, int]
    num_patches: int

    def encode(
        self,
        images: Tensor,
        mask: PatchMask | None,
        *,
        positions: bool | Tensor = True,
        norm: bool = True,
    ) -> Tensor:
        """Encode the visible patches.

        Args:
            images: Normalised images, (B, C, H, W).
            mask: Which patches are hidden; None shows all N of them.
            positions: Whether tokens get position embeddings: all, none, or (B, V) bool, token by token.
            norm: Whether the final LayerNorm is applied.

        Returns:
            Class token, then visible tokens in the order of `mask.ids_keep`, (B, 1 + V, D).
        """
        raise NotImplementedError

    def encode_filled(self, images: Tensor, mask: PatchMask, filling: Tensor) -> Tensor:
        """Encode every position, with one and the same embedding in the place of each hidden patch.

        Args:
            images: Normalised images, (B, C, H, W).
            mask: Which patches are hidden.
            filling: Stands for the embedding of a hidden patch, before its position is added, (1, 1, D).

        Returns:
            After the final LayerNorm: class token, then visible tokens in the order of `mask.ids_keep`, then
            hidden ones in that of `mask.ids_hidden`, (B, 1 + N, D).
        """
        raise NotImplementedError

    def block_outputs(self, images: Tensor) -> Sequence[Tensor]:
        """What each of the `depth` blocks makes of whole images, class token first, (B, 1 + N, D) each."""
        raise NotImplementedError

    def class_attention(self, images: Tensor) -> Tensor:
        """How much the class token attends to each patch in the last block, mean over heads, (B, N)."""
        raise NotImplementedError

    def fresh(self) -> Encoder:
        """An encoder of the same architecture as it is before any training, whatever weights this one has.

        What controls need of an encoder whose weights come from elsewhere. Draws from torch's global
        generator; no part is shared with this encoder.
        """
        raise NotImplementedError


def offers(encoder: object, method: str) -> bool:
    """Whether an encoder has a method that `Encoder` only describes."""
    own = getattr(type(encoder), method, None)
    return own is not None and own is not getattr(Encoder, method)


@dataclass(frozen=True)
class View:
    """One augmented view of a batch, masked and encoded.

    Attributes:
        images: Normalised images, (B, C, H, W).
        mask: Which patches are hidden.
        tokens: Encoder output after the final norm, class token first, (B, 1 + V, D).
        hidden: Encoder output at hidden patches in the order of `mask.ids_hidden`, after the final norm,
            (B, M, D); None where the encoder saw the visible ones alone.
        predictions: What a `SequenceDecoder` predicts for class token, visible and hidden patches in the
            order of the mask, (B, 1 + N, Q); None unless an objective reads them.
    """

    images: Tensor
    mask: PatchMask
    tokens: Tensor
    predictions: Tensor | None = None
    hidden: Tensor | None = None


@dataclass(frozen=True)
class Term:
    """One loss term before weighting, and what is worth plotting beside it.

    Attributes:
        loss: Scalar.
        diagnostics: Detached scalars by name, such as `accuracy` in [0, 1].
    """

    loss: Tensor
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(nn.Module):
    """A further task for the encoder. Built from `(encoder: Encoder)`.

    The encoder given to the constructor serves for its sizes, or to copy; it must not be kept as a submodule.

    Attributes:
        num_views: Augmented views of each image that the objective needs.
        weight: Factor of its loss in the sum.
    """

    num_views: int
    weight: float

    def forward(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """The unweighted loss on at least `num_views` views. `rng` is a CPU generator of the step's own.

        With several ranks the views are this rank's part of the batch and the loss is averaged over ranks:
        draw by `ranks.rand`, and look at other images through `components.objectives.gather`.
        """
        raise NotImplementedError

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """Called after each optimiser step, for moving averages; `progress` in [0, 1] of the training."""
