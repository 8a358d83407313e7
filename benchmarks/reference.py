"""References with the same weights, and MAE's optimiser as its code builds it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.plain import PlainMae
from benchmarks.size import Size
from cmae_ablate.components.backbones.mae_encoder import decoder_name
from cmae_ablate.components.backbones.mae_layout import read_mae_state
from cmae_ablate.components.protocols import MASKINGS
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import resolve
from cmae_ablate.training.interop import MaskedAutoencoder, load_mae_checkpoint
from cmae_ablate.training.model import MaskedImageModel
from cmae_ablate.training.optimizer import parameter_groups

RATE, BETAS, DECAY = 1e-4, (0.9, 0.95), 0.05
OFFICIAL = "MAE's official code"


@dataclass(frozen=True)
class Reference:
    """Another's MAE.

    Attributes:
        name: For the table.
        module: Its weights, under the names of MAE's or Hugging Face's checkpoints.
        loss: From images (B, 3, H, W) and noise (B, N) to the loss.
    """

    name: str
    module: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]


def references(size: Size, official: Path | None) -> list[Reference]:
    """All that can be had here: official code by path, Hugging Face's package, a plain writing."""
    found = [from_checkout(size, official)] if official else []
    if importlib.util.find_spec("transformers"):
        theirs = hugging_face(size)
        found.append(Reference("Hugging Face's ViTMAE", theirs, lambda x, noise: theirs(x, noise=noise).loss))
    torch.manual_seed(0)
    plain = PlainMae(size).train()
    return [*found, Reference("a plain writing of the paper", plain, plain)]


def from_checkout(size: Size, path: Path) -> Reference:
    """MAE's own code, `models_mae.py` and what it imports, from a checkout of its repository.

    It was written for timm 0.3.2 and numpy below 1.24; the two names that later ones dropped are lent to it.

    Raises:
        SystemExit: It is not there or cannot be imported.
    """
    np.__dict__.setdefault("float", float)
    sys.path.insert(0, str(path))
    try:
        code: Any = importlib.import_module("models_mae")
    except ImportError as error:
        raise SystemExit(
            f"--official {path}: models_mae cannot be imported from there ({error}); "
            "name the root of a checkout of MAE's official repository"
        ) from error
    finally:
        sys.path.remove(str(path))
    block = code.Block

    def without_scale(*args: Any, qk_scale: None = None, **options: Any) -> nn.Module:
        built: nn.Module = block(*args, **options)
        return built

    with mock.patch.object(code, "Block", without_scale):
        torch.manual_seed(0)
        module: nn.Module = code.MaskedAutoencoderViT(
            img_size=size.image,
            patch_size=size.patch,
            embed_dim=size.dim,
            depth=size.depth,
            num_heads=size.heads,
            decoder_embed_dim=size.decoder_dim,
            decoder_depth=size.decoder_depth,
            decoder_num_heads=size.decoder_heads,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            norm_pix_loss=True,
        ).train()

    def loss(images: Tensor, noise: Tensor) -> Tensor:
        # It draws its noise itself, and nothing else.
        with mock.patch.object(torch, "rand", lambda *_, **__: noise):
            found: Tensor = module(images, mask_ratio=0.75)[0]
        return found

    return Reference(OFFICIAL, module, loss)


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


def ours(size: Size, reference: nn.Module | dict[str, Tensor]) -> MaskedImageModel:
    """This package's model with the weights of a reference, or of its state."""
    state = reference.state_dict() if isinstance(reference, nn.Module) else reference
    mae: MaskedAutoencoder = load_mae_checkpoint(
        state, num_heads=size.heads, decoder_num_heads=size.decoder_heads
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
