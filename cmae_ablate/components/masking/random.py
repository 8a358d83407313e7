"""Random masking."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from cmae_ablate.components.mask_ratio import count_visible
from cmae_ablate.components.protocols import MASKINGS
from cmae_ablate.tokens import PatchMask


@MASKINGS.register("random", version=1)
class RandomMasking:
    """Hide patches drawn uniformly without replacement, MAE's default.

    Source: He et al., arXiv 2111.06377, section 3: per image, uniform noise is sorted and the patches
    of smallest noise stay visible, in that order. Different here: nothing.

    Args:
        grid: Patches per column and per row.
        ratio: Part of the patches that is hidden; `int(N * (1 - ratio))` stay visible. Source: MAE, 0.75.

    Raises:
        UserError: The ratio leaves nothing visible or nothing hidden.
    """

    def __init__(self, grid: tuple[int, int], *, ratio: Annotated[float, Field(gt=0, lt=1)] = 0.75) -> None:
        self._num_patches = grid[0] * grid[1]
        self._num_visible = count_visible(grid, ratio)

    def sample(self, batch: int, rng: torch.Generator) -> PatchMask:
        """Draw one mask per image, `batch * N` uniform numbers."""
        noise = torch.rand(batch, self._num_patches, generator=rng)
        return PatchMask.from_scores(noise, self._num_visible)
