"""Published MAE checkpoints in; timm models, MAE checkpoints and safetensors out."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors.torch import save as save_safetensors
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from cmae_ablate.components.backbones.mae_encoder import decoder_name, load_encoder, split_state
from cmae_ablate.components.backbones.mae_layout import read_mae_state
from cmae_ablate.components.decoders.transformer import TransformerDecoder
from cmae_ablate.components.mask_ratio import count_visible
from cmae_ablate.components.networks import View
from cmae_ablate.components.targets.pixels import PixelTarget
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.errors import UserError
from cmae_ablate.files import write_atomically
from cmae_ablate.tokens import PatchMask
from cmae_ablate.training.mae_decoder import load_decoder


@dataclass(frozen=True)
class Reconstruction:
    """What a masked autoencoder makes of a batch.

    Attributes:
        pred: Predictions in MAE's pixel order, (B, N, Q), zero where a patch is visible.
        mask: True where a patch is hidden, (B, N), bool.
        loss: Mean squared error over hidden patches, scalar.
    """

    pred: Tensor
    mask: Tensor
    loss: Tensor


class MaskedAutoencoder(nn.Module):
    """An MAE as published: encoder, decoder where the checkpoint has one, pixel target.

    Args:
        encoder: Its encoder.
        decoder: Its decoder; None where the checkpoint holds the encoder alone.
        norm_pix: Whether the target is normalised per patch.
    """

    def __init__(self, encoder: VitEncoder, decoder: TransformerDecoder | None, norm_pix: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.target = PixelTarget(encoder.patch_size, normalize=norm_pix)

    def reconstruct(
        self,
        images: Tensor,
        *,
        noise: Tensor | None = None,
        mask_ratio: float = 0.75,
        generator: torch.Generator | None = None,
    ) -> Reconstruction:
        """Hide patches as MAE does with this noise, and predict them.

        Args:
            images: Normalised images, (B, 3, H, W).
            noise: (B, N); the `int(N * (1 - mask_ratio))` patches of smallest noise stay visible.
                None draws it, uniform in [0, 1) and on the CPU.
            mask_ratio: Hidden part, in (0, 1).
            generator: A CPU generator to draw from; None draws from torch's global one, which
                `torch.manual_seed` seeds. Of no use where `noise` is given.

        Raises:
            UserError: There is no decoder, `noise` has another shape, or the ratio hides nothing or all.
        """
        if self.decoder is None:
            raise UserError("reconstruct: the checkpoint holds the encoder alone; load one with its decoder")
        wanted = (len(images), self.encoder.num_patches)
        if noise is None:
            noise = torch.rand(wanted, generator=generator).to(images.device)
        if tuple(noise.shape) != wanted:
            raise UserError(f"reconstruct: noise is {tuple(noise.shape)}; it must be {wanted}: one a patch")
        mask = PatchMask.from_scores(noise, count_visible(self.encoder.grid, mask_ratio))
        predictions = self.decoder(View(images, mask, self.encoder.encode(images, mask)))
        loss = (predictions - self.target(images, mask)).square().mean()
        places = mask.ids_hidden.unsqueeze(-1).expand_as(predictions)
        full = predictions.new_zeros(*wanted, predictions.shape[-1])
        return Reconstruction(full.scatter(1, places, predictions), mask.hidden, loss)


def load_mae_checkpoint(
    source: str | Path | Mapping[str, Any],
    *,
    image_size: int | None = None,
    num_heads: int | None = None,
    decoder_num_heads: int | None = None,
    norm_pix: bool = True,
) -> MaskedAutoencoder:
    """Load MAE weights; every size but the heads is read off the tensors.

    Args:
        source: File or dictionary, in the official layout (`{"model": ...}` or bare, with or without
            decoder) or that of Hugging Face's ViTMAE.
        image_size: Side of the images in pixels; None takes it from the position embeddings, which are
            used as they are, never interpolated.
        num_heads: Heads of the encoder; may be left out for ViT-B, ViT-L and ViT-H.
        decoder_num_heads: Heads of the decoder; may be left out for MAE's, of width 512.
        norm_pix: Whether the checkpoint was trained on pixels normalised per patch.

    Returns:
        The model in eval mode, on the CPU, in fp32.

    Raises:
        UserError: The file cannot be read, or a tensor is missing, unexpected or of the wrong shape.
    """
    place = "state dict" if isinstance(source, Mapping) else str(source)
    of_encoder, of_decoder = split_state(read_mae_state(source), place)
    encoder = load_encoder(of_encoder, image_size, num_heads)
    decoder = load_decoder(of_decoder, encoder, decoder_num_heads) if of_decoder.values else None
    return MaskedAutoencoder(encoder, decoder, norm_pix).eval()


def to_timm(model: MaskedAutoencoder | VitEncoder) -> VisionTransformer:
    """The encoder as a timm model without classifier, with the same tokens from `forward_features`.

    Args:
        model: What `load_mae_checkpoint` returned, or an encoder of this package.
    """
    encoder = _encoder_of(model)
    # Without values, as everything that has any is replaced: nothing is drawn from the caller's generator.
    with torch.device("meta"):
        vit = VisionTransformer(**timm_sizes(encoder), weight_init="skip")
    # Copied, not loaded: blocks of timm's own models may have parts that these arguments do not build.
    vit.blocks = nn.Sequential(*copy.deepcopy(list(encoder.blocks)))
    vit.norm = copy.deepcopy(encoder.norm)
    vit.patch_embed.proj = copy.deepcopy(encoder.patch_embed.proj)
    vit.cls_token = nn.Parameter(encoder.cls_token.detach().clone())
    vit.pos_embed = nn.Parameter(encoder.pos_embed.detach().clone())
    return vit.train(encoder.training)


def timm_sizes(encoder: VitEncoder) -> dict[str, Any]:
    """The arguments of timm's `VisionTransformer` that build the encoder's like."""
    block = encoder.blocks[0]
    assert isinstance(block, Block)
    return {
        "img_size": encoder.image_size,
        "patch_size": encoder.patch_size,
        "embed_dim": encoder.embed_dim,
        "depth": len(encoder.blocks),
        "num_heads": heads_in(encoder),
        "mlp_ratio": cast("nn.Linear", block.mlp.fc1).out_features / encoder.embed_dim,
        "num_classes": 0,
    }


def heads_in(part: VitEncoder | TransformerDecoder) -> int:
    """How many heads each block attends with."""
    block = part.blocks[0]
    assert isinstance(block, Block)
    return cast(int, block.attn.num_heads)


def mae_state(model: MaskedAutoencoder | VitEncoder) -> dict[str, Tensor]:
    """Tensors by the official MAE code's names, decoder included where there is one."""
    state = dict(_encoder_of(model).state_dict())
    decoder = model.decoder if isinstance(model, MaskedAutoencoder) else None
    for name, value in (decoder.state_dict() if decoder else {}).items():
        state[decoder_name(name)] = value
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def export_encoder(
    model: MaskedAutoencoder | VitEncoder, path: Path, *, format: Literal["timm", "mae", "safetensors"]
) -> None:
    """Write weights for other programs; the file appears whole or not at all.

    Args:
        model: What `load_mae_checkpoint` returned, or an encoder of this package.
        path: File to write; its folder is created.
        format: `timm`: encoder, for `timm.create_model(..., checkpoint_path=path)`; `safetensors`: the
            same tensors in that format; `mae`: `{"model": ...}` under the official names, with the decoder.
    """
    encoder_state = mae_state(_encoder_of(model))
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "safetensors":
        write_atomically(path, save_safetensors(encoder_state))
        return
    buffer = io.BytesIO()
    torch.save({"model": mae_state(model)} if format == "mae" else encoder_state, buffer)
    write_atomically(path, buffer.getvalue())


def _encoder_of(model: MaskedAutoencoder | VitEncoder) -> VitEncoder:
    encoder = model.encoder if isinstance(model, MaskedAutoencoder) else model
    if not isinstance(encoder, VitEncoder):
        raise UserError(
            f"a {type(encoder).__name__} is no vision transformer of this package; give one that is"
        )
    return encoder
