"""The vision transformer that every backbone builds: visible patches in, tokens out."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.vit_layers import initialise_again, run_blocks, split_heads
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask, gather_tokens, patchify, sincos_positions

COLOURS = 3


class PatchProjection(nn.Module):
    """MAE's patch embedding, held as the convolution that checkpoints store, applied as a linear layer.

    Args:
        patch_size: P, in pixels.
        embed_dim: D.
    """

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(COLOURS, embed_dim, kernel_size=patch_size, stride=patch_size)
        # The kernel is initialised as the linear layer that it is; its bias stays torch's, as in MAE.
        nn.init.xavier_uniform_(self.proj.weight.view(embed_dim, -1))

    def forward(self, patches: Tensor) -> Tensor:
        """Patches in MAE's pixel order (B, K, Q) to tokens (B, K, D)."""
        weight = self.proj.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(patches, weight, self.proj.bias)


class VitEncoder(Encoder):
    """Encodes visible patches only, as MAE does; parameter names are those of MAE and timm.

    Args:
        image_size: Side of the images, in pixels.
        patch_size: P.
        embed_dim: D, divisible by 4.
        blocks: timm blocks of width D, initialised.
        norm: The final LayerNorm.
        train_patch_embedding: Whether pretraining trains the patch embedding, or leaves it as initialised.

    Raises:
        UserError: The image size is not divisible by the patch size.
    """

    pos_embed: Tensor

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        embed_dim: int,
        blocks: nn.ModuleList,
        norm: nn.Module,
        *,
        train_patch_embedding: bool = True,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise UserError(
                f"backbone: images of {image_size} pixels cannot be cut into patches of {patch_size}; "
                f"choose a backbone whose patch divides {image_size}, or another dataset.image_size"
            )
        side = image_size // patch_size
        self.embed_dim = embed_dim
        self.patch_size = patch_size
        self.image_size = image_size
        self.grid = (side, side)
        self.num_patches = side * side
        self.patch_embed = PatchProjection(patch_size, embed_dim).requires_grad_(train_patch_embedding)
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim).normal_(std=0.02))
        class_row = torch.zeros(1, embed_dim)
        positions = torch.cat([class_row, sincos_positions(embed_dim, self.grid)])
        self.register_buffer("pos_embed", positions.unsqueeze(0))
        self.blocks = blocks
        self.depth = len(blocks)
        self.norm = norm

    def encode(
        self,
        images: Tensor,
        mask: PatchMask | None,
        *,
        positions: bool | Tensor = True,
        norm: bool = True,
    ) -> Tensor:
        """Encode the visible patches; arguments as `slots.Encoder` says. (B, 1 + V, D), class token first."""
        tokens = run_blocks(self.blocks, self._embed(images, mask, positions))
        if not norm:
            return tokens
        normed: Tensor = self.norm(tokens)
        return normed

    def encode_filled(self, images: Tensor, mask: PatchMask, filling: Tensor) -> Tensor:
        """Encode every position; arguments and result as `slots.Encoder` says. (B, 1 + N, D)."""
        # Hidden patches are not embedded at all: the filling stands where their embeddings would.
        shown = self._embed(images, mask, True)
        table = self.pos_embed[:, 1:].expand(len(images), -1, -1)
        hidden = filling + gather_tokens(table, mask.ids_hidden)
        tokens: Tensor = self.norm(run_blocks(self.blocks, torch.cat([shown, hidden.to(shown.dtype)], dim=1)))
        return tokens

    def block_outputs(self, images: Tensor) -> list[Tensor]:
        """What each block makes of whole images, (B, 1 + N, D) each, before the final norm."""
        tokens, found = self._embed(images, None, True), []
        for block in self.blocks:
            tokens = block(tokens)
            found.append(tokens)
        return found

    def class_attention(self, images: Tensor) -> Tensor:
        """How much the class token attends to each patch in the last block, mean over heads, (B, N).

        The class token's attention to itself is left out, so that rows sum to less than 1.
        """

        from timm.layers.attention import Attention
        from timm.models.vision_transformer import Block

        tokens = run_blocks(self.blocks[:-1], self._embed(images, None, True))
        last = self.blocks[-1]
        assert isinstance(last, Block) and isinstance(last.attn, Attention)
        normed = last.norm1(tokens)
        query, key, _ = split_heads(last.attn, normed[:, :1], normed)
        weights = (query @ key.transpose(-2, -1) * last.attn.scale).softmax(dim=-1)
        heat: Tensor = weights.mean(dim=1)[:, 0, 1:]
        return heat

    def fresh(self) -> VitEncoder:
        """The same architecture before any training, as `slots.Encoder` says."""
        blocks, norm = copy.deepcopy(self.blocks), copy.deepcopy(self.norm)
        initialise_again(blocks)
        initialise_again(norm)
        return VitEncoder(
            self.image_size,
            self.patch_size,
            self.embed_dim,
            blocks,
            norm,
            train_patch_embedding=self.patch_embed.proj.weight.requires_grad,
        )

    def _embed(self, images: Tensor, mask: PatchMask | None, positions: bool | Tensor) -> Tensor:
        size = (self.image_size, self.image_size)
        assert images.shape[-2:] == size, f"images are {tuple(images.shape[-2:])}, the encoder's are {size}"
        patches = patchify(images, self.patch_size)
        table = self.pos_embed[:, 1:]
        if mask is not None:
            patches = gather_tokens(patches, mask.ids_keep)
            table = gather_tokens(table.expand(len(images), -1, -1), mask.ids_keep)
        tokens = self.patch_embed(patches)
        if isinstance(positions, Tensor):
            tokens = torch.where(positions.unsqueeze(-1), tokens + table, tokens)
        elif positions:
            tokens = tokens + table
        # The class token's row of the table (zeros, unless a checkpoint says otherwise) tells no position.
        class_token = (self.cls_token + self.pos_embed[:, :1]).expand(len(tokens), -1, -1)
        return torch.cat([class_token.to(tokens.dtype), tokens], dim=1)
