"""Weights that were pretrained elsewhere, as a backbone: evaluated beside what a study trains."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cmae_ablate.components.backbones.mae_encoder import load_encoder, split_state
from cmae_ablate.components.backbones.mae_layout import read_mae_state
from cmae_ablate.components.protocols import BACKBONES
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.errors import UserError


@BACKBONES.register("checkpoint", version=1, files=("path",), normalization="normalization")
def checkpoint_encoder(
    image_size: int,
    *,
    path: str,
    heads: Annotated[int, Field(ge=1, le=128)] | None = None,
    normalization: Literal["imagenet", "data"] = "imagenet",
) -> VitEncoder:
    """The encoder of an existing checkpoint: such a variant is evaluated and never trained.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, arXiv 2111.06377, whose layout is
    read; so are Hugging Face's ViTMAE and a `model.safetensors` of this package. Different here: every
    size but the heads is read off the tensors. The fingerprint covers the file's content, not its place.
    Its cost of pretraining is unknown here, so the table leaves it open.

    Args:
        image_size: Side of the images, in pixels; must be the checkpoint's.
        path: The file. Source: ours.
        heads: Attention heads; may be left out for ViT-B, ViT-L and ViT-H. Source: MAE, 12 for ViT-B, 16 for
            ViT-L and ViT-H.
        normalization: Mean and deviation that the weights expect: `imagenet`, as published MAEs do, or those
            of the study's `data`. Source: MAE, `imagenet`.

    Raises:
        UserError: The file cannot be read, or its sizes do not fit.
    """
    part, _ = split_state(read_mae_state(path), path)
    try:
        return load_encoder(part, image_size, heads)
    except UserError as error:
        message = str(error).replace("set image_size=", "set training.image_size to ")
        raise UserError(message.replace("set num_heads", "set backbone.heads")) from error
