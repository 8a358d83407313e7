"""The decoder out of the tensors of an MAE, every size but the heads read off their shapes."""

from __future__ import annotations

import torch

from cmae_ablate.components.backbones.mae_encoder import Part, fill, heads_of
from cmae_ablate.components.decoders.transformer import TransformerDecoder
from cmae_ablate.components.vit_encoder import COLOURS, VitEncoder

DECODER_HEADS = {512: 16}
"""Heads of the only decoder that MAE published, by width."""


def load_decoder(part: Part, encoder: VitEncoder, num_heads: int | None) -> TransformerDecoder:
    """Build the decoder that belongs to `encoder`; arguments and errors as `load_encoder`."""
    dim = part.tensor("embed.weight", 2).shape[0]
    heads = heads_of(part, "decoder_num_heads", num_heads, dim, DECODER_HEADS)
    depth, mlp_ratio = part.depth_and_ratio(dim)
    with torch.device("meta"):
        decoder = TransformerDecoder(
            encoder.embed_dim,
            encoder.grid,
            encoder.patch_size**2 * COLOURS,
            depth=depth,
            dim=dim,
            heads=heads,
            mlp_ratio=mlp_ratio,
        )
    fill(decoder, part)
    return decoder
