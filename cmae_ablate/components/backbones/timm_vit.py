"""Vision transformers by their name in timm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from cmae_ablate.components.protocols import BACKBONES
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.components.vit_layers import initialise_as_mae
from cmae_ablate.errors import UserError, suggest

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


@BACKBONES.register("timm", version=1)
def timm_vit(
    image_size: int, *, model: str = "vit_base_patch16_224", train_patch_embedding: bool = True
) -> VitEncoder:
    """Vision transformer with the sizes and blocks of a model of timm, not pretrained.

    Source: Wightman, PyTorch Image Models. Sizes, patch and blocks (with what they have of LayerScale or
    query-key norms) are the named model's. Different here: embedding, class token, fixed sine-cosine
    positions and initialisation are MAE's (arXiv 2111.06377), whatever the named model has, and its image
    size is the study's. Drop path and dropout are off, as in MAE's pretraining.

    Args:
        image_size: Side of the images, in pixels.
        model: Name of a plain `VisionTransformer`, such as `vit_base_patch16_224` (MAE's ViT-B) or
            `vit_small_patch16_224`; `timm.list_models("vit_*")` lists them. Source: the paper and MAE,
            ViT-B/16.
        train_patch_embedding: Whether pretraining trains the patch embedding; otherwise it stays as it is
            initialised. Fine-tuning trains it in any case. Source: MAE, true; SDMAE, and MoCo v3 for its
            ViTs, false.

    Raises:
        UserError: timm has no such model, it is no plain vision transformer, or its patch does not divide
            the image.
    """
    named = _plain_vit(model)
    blocks = nn.ModuleList(named.blocks)
    norm = named.norm
    initialise_as_mae(blocks)
    initialise_as_mae(norm)
    return VitEncoder(
        image_size,
        named.patch_embed.patch_size[0],
        named.embed_dim,
        blocks,
        norm,
        train_patch_embedding=train_patch_embedding,
    )


def _plain_vit(name: str) -> VisionTransformer:
    import timm
    from timm.models.vision_transformer import VisionTransformer

    if not timm.is_model(name):
        hint = suggest(name, timm.list_models("*vit*") + timm.list_models("deit*"))
        raise UserError(f"backbone.model: timm has no model called '{name}'; {hint}")
    # Built without values first: a name says nothing about the kind of model, nor about its size.
    with torch.device("meta"):
        candidate = timm.create_model(name, pretrained=False)
    reason = _unsuitable(candidate)
    if reason:
        raise UserError(
            f"backbone.model: '{name}' {reason}; "
            "choose a plain vision transformer, such as vit_base_patch16_224"
        )
    built = timm.create_model(name, pretrained=False, num_classes=0)
    assert isinstance(built, VisionTransformer)
    return built


def _unsuitable(candidate: nn.Module) -> str | None:
    """Why an encoder as MAE's cannot be made of the model; None where it can."""

    from timm.layers.attention import Attention
    from timm.models.vision_transformer import Block, VisionTransformer

    if type(candidate) is not VisionTransformer:
        return f"is a {type(candidate).__name__}, not a VisionTransformer"
    if candidate.num_reg_tokens:
        return "has register tokens, which no other component expects"
    if not isinstance(candidate.norm_pre, nn.Identity):
        return "has a norm before its blocks"
    if not isinstance(candidate.norm, nn.LayerNorm):
        return "has no LayerNorm after its blocks"
    if any(type(block) is not Block or type(block.attn) is not Attention for block in candidate.blocks):
        return "has blocks of another kind"
    return None
