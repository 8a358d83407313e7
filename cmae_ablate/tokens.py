"""Patches, positions and masks.

Shape legend, used throughout the package:
    B batch, C colour channels (3), H W image height and width, P patch side,
    N patches, V visible patches, M = N - V hidden patches, D width, Q = P * P * C values a patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_POSITION_BITS = 32
_POSITION_MASK = 2**_POSITION_BITS - 1
_MAGNITUDE = 2**31 - 1


@dataclass(frozen=True)
class PatchMask:
    """Which patches of each image are hidden. Every image of a batch hides equally many.

    Attributes:
        ids_keep: Positions of the visible patches in the order in which the encoder sees them, (B, V), int64.
        ids_hidden: Positions of the hidden patches, (B, M), int64.
    """

    ids_keep: Tensor
    ids_hidden: Tensor

    @classmethod
    def from_scores(cls, scores: Tensor, num_keep: int) -> PatchMask:
        """Keep the `num_keep` patches of smallest score, in that order, as MAE does with its noise.

        Args:
            scores: (B, N), any float type; ties are broken by position.
            num_keep: V, in [1, N].
        """
        order = _ascending(scores)
        return cls(order[:, :num_keep], order[:, num_keep:])

    @property
    def num_patches(self) -> int:
        """N."""
        return self.ids_keep.shape[1] + self.ids_hidden.shape[1]

    @property
    def hidden(self) -> Tensor:
        """True where a patch is hidden, (B, N), bool."""
        shape = (self.ids_keep.shape[0], self.num_patches)
        full = torch.ones(shape, dtype=torch.bool, device=self.ids_keep.device)
        return full.scatter(1, self.ids_keep, False)

    def share(self, images: slice) -> PatchMask:
        """The masks of some images."""
        return PatchMask(self.ids_keep[images], self.ids_hidden[images])

    def to(self, device: torch.device) -> PatchMask:
        """The same mask on another device."""
        return PatchMask(self.ids_keep.to(device), self.ids_hidden.to(device))


def _ascending(scores: Tensor) -> Tensor:
    """Positions of each row's scores in ascending order, ties by position, (B, N), int64."""
    if scores.device.type != "cpu" or scores.dtype is not torch.float32:
        return torch.argsort(scores, dim=1, stable=True)
    # One number for score and position, sorted as integers: the same order, a tenth of argsort's time.
    # Floats of one sign are ordered as their bits are; negative ones the other way round.
    bits = (scores + 0.0).numpy().view(np.int32).astype(np.int64)  # + 0.0: -0 equals 0
    bits = np.where(bits < 0, bits ^ _MAGNITUDE, bits)
    keys = (bits << _POSITION_BITS) | np.arange(scores.shape[1])
    keys.sort(axis=1)
    return torch.from_numpy(keys & _POSITION_MASK)


def gather_tokens(tokens: Tensor, ids: Tensor) -> Tensor:
    """Pick tokens by position.

    Args:
        tokens: (B, N, D).
        ids: Positions in [0, N), (B, K), int64.

    Returns:
        (B, K, D), in the order of `ids`.
    """
    return tokens.gather(1, ids.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Cut images into patches, each flattened as (row, column, channel), MAE's order.

    Args:
        images: (B, C, H, W) with H and W divisible by `patch_size`.
        patch_size: P, in pixels.

    Returns:
        (B, N, P * P * C), patches row by row.
    """
    batch, channels, height, width = images.shape
    rows, columns = height // patch_size, width // patch_size
    cut = images.reshape(batch, channels, rows, patch_size, columns, patch_size)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, patch_size**2 * channels)


def unpatchify(patches: Tensor, patch_size: int, grid: tuple[int, int]) -> Tensor:
    """Put patches together again: the inverse of `patchify`.

    Args:
        patches: (B, N, P * P * C).
        patch_size: P, in pixels.
        grid: Patches per column and per row, whose product is N.

    Returns:
        (B, C, H, W).
    """
    batch, rows, columns = patches.shape[0], *grid
    channels = patches.shape[-1] // patch_size**2
    cut = patches.reshape(batch, rows, columns, patch_size, patch_size, channels)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, rows * patch_size, columns * patch_size)


def sincos_positions(dim: int, grid: tuple[int, int]) -> Tensor:
    """Fixed two-dimensional sine-cosine position embeddings, as MAE's.

    The first half of the channels encodes the column, the second half the row; each half holds
    sines, then cosines, at frequencies 10000^(-k / (dim / 4)).

    Args:
        dim: Width, divisible by 4.
        grid: Patches per column and per row.

    Returns:
        (N, dim), float32, patches row by row.
    """
    assert dim % 4 == 0, f"sine-cosine positions need a width divisible by 4, not {dim}"
    # float64 throughout: MAE computes the table in numpy doubles, and float32 differs in the last digits.
    frequencies = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    rows, columns = torch.meshgrid(
        torch.arange(grid[0], dtype=torch.float64), torch.arange(grid[1], dtype=torch.float64), indexing="ij"
    )
    angles = [axis.reshape(-1, 1) * frequencies for axis in (columns, rows)]
    return torch.cat([table for angle in angles for table in (angle.sin(), angle.cos())], dim=1).float()
