"""The encoder out of the tensors of an MAE, every size but the heads read off their shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cmae_ablate.components.vit_encoder import COLOURS, VitEncoder
from cmae_ablate.components.vit_layers import NORM_EPS, make_blocks
from cmae_ablate.errors import UserError

ENCODER_HEADS = {768: 12, 1024: 16, 1280: 16}
"""Heads of MAE's ViT-B, ViT-L and ViT-H by width; a checkpoint does not tell them."""


_OF_ANY_VIT = ("patch_embed.", "blocks.", "pos_embed", "cls_token")
_BLOCK = re.compile(r"blocks\.(\d+)\.")


@dataclass(frozen=True)
class Part:
    """The tensors of encoder or decoder.

    Attributes:
        values: By the module's own names.
        place: Where they are from, for messages.
        is_decoder: Whether the file calls them `decoder_...`.
    """

    values: Mapping[str, Tensor]
    place: str
    is_decoder: bool

    def named(self, name: str) -> str:
        """What the file calls a tensor."""
        return decoder_name(name) if self.is_decoder else name

    def tensor(self, name: str, ndim: int) -> Tensor:
        """One tensor.

        Raises:
            UserError: It is missing or has other than `ndim` dimensions.
        """
        value = self.values.get(name)
        if value is None:
            raise self.missing(name)
        if value.ndim != ndim:
            raise UserError(
                f"{self.place}: '{self.named(name)}' has {value.ndim} dimensions, not {ndim}; "
                "give an MAE checkpoint"
            )
        return value

    def missing(self, name: str) -> UserError:
        """What to raise where a tensor is missing."""
        return UserError(f"{self.place}: '{self.named(name)}' is missing; give a complete MAE checkpoint")

    def depth_and_ratio(self, dim: int) -> tuple[int, float]:
        """Number of blocks, and width of their MLPs as a multiple of `dim`."""
        indices = {match[1] for name in self.values if (match := _BLOCK.match(name))}
        hidden = self.tensor("blocks.0.mlp.fc1.weight", 2).shape[0]
        # Half a unit more, so that rounding down `dim * ratio` gives the same width again.
        return len(indices), (hidden + 0.5) / dim


def decoder_name(name: str) -> str:
    """What MAE calls a tensor of the decoder."""
    return name if name == "mask_token" else f"decoder_{name}"


def split_state(state: Mapping[str, Tensor], place: str) -> tuple[Part, Part]:
    """Encoder and decoder of an MAE's tensors, by their official names; the decoder may be empty."""
    of_decoder = {name for name in state if name == "mask_token" or name.startswith("decoder_")}
    encoder = {name: value for name, value in state.items() if name not in of_decoder}
    decoder = {name.removeprefix("decoder_"): state[name] for name in state if name in of_decoder}
    return Part(encoder, place, is_decoder=False), Part(decoder, place, is_decoder=True)


def load_encoder(part: Part, image_size: int | None, num_heads: int | None) -> VitEncoder:
    """Build the encoder; arguments and errors as `interop.load_mae_checkpoint` says."""
    if "fc_norm.weight" in part.values:
        raise UserError(
            f"{part.place}: 'fc_norm.weight' says that this model was fine-tuned on mean-pooled tokens, "
            "which leaves no norm of the encoder's own; give the pretrained checkpoint that it came from"
        )
    if part.values and not any(name.startswith(_OF_ANY_VIT) for name in part.values):
        shown = ", ".join(f"'{name[:40]}'" for name in list(part.values)[:3])
        raise UserError(
            f"{part.place}: no tensor is called as a vision transformer's are ({shown}, ...); give an MAE "
            "checkpoint"
        )
    if "cls_token" not in part.values:
        raise UserError(
            f"{part.place}: 'cls_token' is missing: this model has no class token, MAE's encoder needs one; "
            "give a complete MAE checkpoint"
        )
    embed_dim, channels, height, width = part.tensor("patch_embed.proj.weight", 4).shape
    if channels != COLOURS or height != width:
        raise UserError(
            f"{part.place}: 'patch_embed.proj.weight' has patches of {height} x {width} pixels and "
            f"{channels} colours; only square ones of {COLOURS} can be loaded"
        )
    num_patches = part.tensor("pos_embed", 3).shape[1] - 1
    side = math.isqrt(max(num_patches, 0))
    if side == 0 or side * side != num_patches:
        raise UserError(
            f"{part.place}: 'pos_embed' has {num_patches} positions beside the class token, which make no "
            "square; only square images can be loaded"
        )
    if image_size is not None and image_size != side * height:
        raise UserError(
            f"{part.place}: 'pos_embed' is of {side} x {side} patches of {height} pixels, images of "
            f"{side * height}, not {image_size}; set image_size={side * height}"
        )
    heads = heads_of(part, "num_heads", num_heads, embed_dim, ENCODER_HEADS)
    depth, mlp_ratio = part.depth_and_ratio(embed_dim)
    # Built without values: all of them are loaded, and nothing is drawn from the caller's generator.
    with torch.device("meta"):
        blocks = make_blocks(embed_dim, depth, heads, mlp_ratio)
        encoder = VitEncoder(side * height, height, embed_dim, blocks, nn.LayerNorm(embed_dim, eps=NORM_EPS))
    fill(encoder, part)
    return encoder


def heads_of(part: Part, option: str, given: int | None, dim: int, known: Mapping[int, int]) -> int:
    """Heads as given, or as MAE published them for this width.

    Raises:
        UserError: They are unknown, or do not divide the width.
    """
    heads = known.get(dim) if given is None else given
    if heads is None:
        raise UserError(f"{part.place}: tensors of width {dim} do not tell how many heads; set {option}")
    if heads < 1 or dim % heads or dim % 4:
        raise UserError(
            f"{part.place}: width {dim} must be divisible by 4 and by {option}, which is {heads}; "
            f"set another {option}"
        )
    return heads


def fill(module: nn.Module, part: Part) -> None:
    """Load all of a part's tensors into a module built without values.

    Raises:
        UserError: One is missing, unexpected or of another shape.
    """
    expected = module.state_dict()
    for name, wanted in expected.items():
        if name not in part.values:
            raise part.missing(name)
        found = part.values[name].shape
        if found != wanted.shape:
            raise UserError(
                f"{part.place}: '{part.named(name)}' is {tuple(found)} where the other tensors ask for "
                f"{tuple(wanted.shape)}; give a checkpoint of one model"
            )
    unexpected = [part.named(name) for name in part.values if name not in expected]
    if unexpected:
        raise UserError(f"{part.place}: '{unexpected[0]}' is no part of MAE; remove it from the state dict")
    module.to_empty(device="cpu")
    module.load_state_dict(dict(part.values))
