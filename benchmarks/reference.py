"""The reference: Hugging Face's ViTMAE with the same weights, and MAE's optimiser as its code builds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cmae_ablate.interop import MaskedAutoencoder, load_mae_checkpoint
from cmae_ablate.mae_layout import read_mae_state
from cmae_ablate.mae_weights import decoder_name
from cmae_ablate.model import MaskedImageModel
from cmae_ablate.optim import parameter_groups
from cmae_ablate.settings import apply, default_tree
from cmae_ablate.slots import MASKINGS
from cmae_ablate.spec import resolve

RATE, BETAS, DECAY = 1e-4, (0.9, 0.95), 0.05


@dataclass(frozen=True)
class Size:
    """Of an MAE; D width of the encoder."""

    dim: int
    depth: int
    heads: int
    patch: int
    image: int
    decoder_dim: int
    decoder_depth: int
    decoder_heads: int

    def __str__(self) -> str:
        return (
            f"dim {self.dim} depth {self.depth} patch {self.patch} at {self.image}, "
            f"decoder depth {self.decoder_depth}"
        )


def hugging_face(size: Size) -> nn.Module:
    """ViTMAE of the `transformers` package, freshly initialised, with torch's fused attention."""
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    config = ViTMAEConfig(  # type: ignore[call-arg]  # attn_implementation is the base class's
        hidden_size=size.dim,
        num_hidden_layers=size.depth,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.dim,
        image_size=size.image,
        patch_size=size.patch,
        decoder_hidden_size=size.decoder_dim,
        decoder_num_hidden_layers=size.decoder_depth,
        decoder_num_attention_heads=size.decoder_heads,
        decoder_intermediate_size=4 * size.decoder_dim,
        layer_norm_eps=1e-6,
        norm_pix_loss=True,
        attn_implementation="sdpa",
    )
    torch.manual_seed(0)
    model: nn.Module = ViTMAEForPreTraining(config)
    return model.train()


def ours(size: Size, reference: nn.Module) -> MaskedImageModel:
    """This package's model with the reference's weights."""
    mae: MaskedAutoencoder = load_mae_checkpoint(
        reference.state_dict(), num_heads=size.heads, decoder_num_heads=size.decoder_heads
    )
    assert mae.decoder is not None
    masking = MASKINGS["random"].build({}, mae.encoder.grid)
    spec = resolve(apply(default_tree(), ("training", "batch_size"), 32))
    return MaskedImageModel(mae.encoder, mae.decoder, masking, mae.target, {}, spec).train()


def plain_adamw(module: nn.Module) -> torch.optim.AdamW:
    """AdamW as MAE's code builds it: two groups, torch's default implementation."""
    return torch.optim.AdamW(parameter_groups(module, DECAY), lr=RATE, betas=BETAS)


def largest_difference(model: MaskedImageModel, reference: nn.Module) -> float:
    """Largest difference of the gradients over the largest gradient, after a backward pass of both."""
    given: dict[str, Any] = {
        name: parameter.grad for name, parameter in reference.named_parameters() if parameter.grad is not None
    }
    expected = read_mae_state(given)
    assert isinstance(model.decoder, nn.Module)
    assert isinstance(model.encoder, nn.Module)
    found: dict[str, Tensor] = {
        **{name: value.grad for name, value in model.encoder.named_parameters() if value.grad is not None},
        **{
            decoder_name(name): value.grad
            for name, value in model.decoder.named_parameters()
            if value.grad is not None
        },
    }
    missing = set(expected) ^ set(found)
    assert not missing, f"gradients that only one of the two has: {sorted(missing)}"
    difference = max(float((found[name] - expected[name]).abs().max()) for name in found)
    return difference / max(float(value.abs().max()) for value in expected.values())
