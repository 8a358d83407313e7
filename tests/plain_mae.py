"""MAE's forward pass as its paper describes it: image by image, with nothing but tensors by name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cmae_ablate.training.interop import MaskedAutoencoder, load_mae_checkpoint

IMAGE, PATCH, DIM, DEPTH, HEADS = 32, 8, 32, 3, 4
DECODER_DIM, DECODER_DEPTH, DECODER_HEADS = 16, 2, 2
N, Q = (IMAGE // PATCH) ** 2, PATCH * PATCH * 3

State = dict[str, Tensor]


def make_state(decoder: bool = True, seed: int = 0) -> State:
    """An MAE of random numbers in the official layout; positions too, to see that they are used."""
    rng = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, DIM),
        "pos_embed": (1, 1 + N, DIM),
        "patch_embed.proj.weight": (DIM, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (DIM,),
        **stack_shapes("blocks", "norm", DIM, DEPTH),
    }
    if decoder:
        shapes |= {
            "mask_token": (1, 1, DECODER_DIM),
            "decoder_pos_embed": (1, 1 + N, DECODER_DIM),
            "decoder_embed.weight": (DECODER_DIM, DIM),
            "decoder_embed.bias": (DECODER_DIM,),
            **stack_shapes("decoder_blocks", "decoder_norm", DECODER_DIM, DECODER_DEPTH),
            "decoder_pred.weight": (Q, DECODER_DIM),
            "decoder_pred.bias": (Q,),
        }
    return {name: 0.2 * torch.randn(shape, generator=rng) for name, shape in shapes.items()}


def stack_shapes(stack: str, norm: str, dim: int, depth: int) -> dict[str, tuple[int, ...]]:
    linear = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim)}
    linear |= {"mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
    shapes: dict[str, tuple[int, ...]] = {f"{norm}.weight": (dim,), f"{norm}.bias": (dim,)}
    for block in range(depth):
        for layer, shape in linear.items():
            shapes[f"{stack}.{block}.{layer}.weight"] = shape
            shapes[f"{stack}.{block}.{layer}.bias"] = shape[:1]
        for layer in ("norm1", "norm2"):
            shapes |= {f"{stack}.{block}.{layer}.{leaf}": (dim,) for leaf in ("weight", "bias")}
    return shapes


def load(source: Any, **settings: Any) -> MaskedAutoencoder:
    options = {"image_size": IMAGE, "num_heads": HEADS, "decoder_num_heads": DECODER_HEADS}
    return load_mae_checkpoint(source, **{**options, **settings})


def make_batch(batch: int = 2) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(7)
    return torch.randn(batch, 3, IMAGE, IMAGE, generator=rng), torch.rand(batch, N, generator=rng)


def plain_layer(state: State, name: str, tokens: Tensor) -> Tensor:
    return tokens @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def plain_norm(state: State, name: str, tokens: Tensor) -> Tensor:
    centred = tokens - tokens.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def plain_block(state: State, name: str, tokens: Tensor, heads: int) -> Tensor:
    width = tokens.shape[-1] // heads
    qkv = plain_layer(state, f"{name}.attn.qkv", plain_norm(state, f"{name}.norm1", tokens))
    query, key, value = qkv.chunk(3, dim=-1)
    attended = []
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        weights = (query[:, own] @ key[:, own].T / math.sqrt(width)).softmax(-1)
        attended.append(weights @ value[:, own])
    tokens = tokens + plain_layer(state, f"{name}.attn.proj", torch.cat(attended, dim=-1))
    inner = plain_layer(state, f"{name}.mlp.fc1", plain_norm(state, f"{name}.norm2", tokens))
    return tokens + plain_layer(state, f"{name}.mlp.fc2", functional.gelu(inner))


def plain_encode(state: State, image: Tensor, kept: list[int]) -> Tensor:
    columns = IMAGE // PATCH
    tokens = [state["cls_token"][0, 0] + state["pos_embed"][0, 0]]
    for place in kept:
        top, left = place // columns * PATCH, place % columns * PATCH
        pixels = image[:, top : top + PATCH, left : left + PATCH]
        embedded = (state["patch_embed.proj.weight"] * pixels).sum((1, 2, 3)) + state["patch_embed.proj.bias"]
        tokens.append(embedded + state["pos_embed"][0, 1 + place])
    encoded = torch.stack(tokens)
    for block in range(DEPTH):
        encoded = plain_block(state, f"blocks.{block}", encoded, HEADS)
    return plain_norm(state, "norm", encoded)


def plain_mae(state: State, image: Tensor, noise: Tensor, ratio: float) -> tuple[Tensor, list[int]]:
    """Prediction for every patch, and which are hidden."""
    values = noise.tolist()
    ranked = sorted(range(N), key=values.__getitem__)
    kept, hidden = ranked[: int(N * (1 - ratio))], ranked[int(N * (1 - ratio)) :]
    encoded = plain_layer(state, "decoder_embed", plain_encode(state, image, kept))
    tokens = torch.cat([encoded[:1], state["mask_token"][0].repeat(N, 1)])
    for order, place in enumerate(kept):
        tokens[1 + place] = encoded[1 + order]
    tokens = tokens + state["decoder_pos_embed"][0]
    for block in range(DECODER_DEPTH):
        tokens = plain_block(state, f"decoder_blocks.{block}", tokens, DECODER_HEADS)
    return plain_layer(state, "decoder_pred", plain_norm(state, "decoder_norm", tokens))[1:], sorted(hidden)


def plain_loss(image: Tensor, predictions: Tensor, hidden: list[int], norm_pix: bool) -> Tensor:
    columns, losses = IMAGE // PATCH, []
    for place in hidden:
        top, left = place // columns * PATCH, place % columns * PATCH
        target = image[:, top : top + PATCH, left : left + PATCH].permute(1, 2, 0).flatten()
        if norm_pix:
            target = (target - target.mean()) / (target.var(unbiased=True) + 1e-6) ** 0.5
        losses.append(((predictions[place] - target) ** 2).mean())
    return torch.stack(losses).mean()
