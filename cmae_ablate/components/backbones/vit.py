"""Vision transformers by their sizes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from cmae_ablate.components.protocols import BACKBONES
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.components.vit_layers import NORM_EPS, check_widths, initialise_as_mae, make_blocks


@BACKBONES.register("vit", version=1)
def vit(
    image_size: int,
    *,
    dim: Annotated[int, Field(ge=4, le=8192)] = 192,
    depth: Annotated[int, Field(ge=1, le=128)] = 12,
    heads: Annotated[int, Field(ge=1, le=128)] = 3,
    patch: Annotated[int, Field(ge=1, le=256)] = 16,
    mlp_ratio: Annotated[float, Field(gt=0, le=16)] = 4.0,
    train_patch_embedding: bool = True,
) -> VitEncoder:
    """Vision transformer of any size, as MAE's encoder: class token, fixed sine-cosine positions, pre-norm.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, arXiv 2111.06377; initialised as
    its code does. Different here: nothing but sizes of any kind. The defaults are ViT-Tiny's sizes; MAE's
    own are ViT-B (768, 12, 12), ViT-L (1024, 24, 16) and ViT-H (1280, 32, 16, patch 14).

    Args:
        image_size: Side of the images, in pixels.
        dim: Width of the tokens; divisible by 4 and by `heads`. Source: MAE's ViT-B, 768; here ViT-Tiny's
            192.
        depth: Number of transformer blocks. Source: MAE's ViT-B, 12.
        heads: Attention heads of a block. Source: MAE's ViT-B, 12; here ViT-Tiny's 3.
        patch: Side of a patch, in pixels; must divide the image size. Source: MAE's ViT-B, 16.
        mlp_ratio: Width of the MLP's hidden layer as a multiple of `dim`. Source: MAE, 4.
        train_patch_embedding: Whether pretraining trains the patch embedding; otherwise it stays as it is
            initialised. Fine-tuning trains it in any case. Source: MAE, true; SDMAE, and MoCo v3 for its
            ViTs, false.

    Raises:
        UserError: Sizes do not divide as said above.
    """
    check_widths("backbone", dim, heads)
    blocks = make_blocks(dim, depth, heads, mlp_ratio)
    norm = nn.LayerNorm(dim, eps=NORM_EPS)
    initialise_as_mae(blocks)
    return VitEncoder(image_size, patch, dim, blocks, norm, train_patch_embedding=train_patch_embedding)
