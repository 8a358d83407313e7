"""How many patches a mask ratio leaves visible, for every masking that has one."""

from __future__ import annotations

from cmae_ablate.errors import UserError


def count_visible(grid: tuple[int, int], ratio: float) -> int:
    """MAE's count of visible patches, `int(N * (1 - ratio))`, rounded down as there.

    Args:
        grid: Patches per column and per row.
        ratio: Hidden part, in (0, 1).

    Returns:
        V, in [1, N - 1].

    Raises:
        UserError: All patches would be visible, or none.
    """
    num_patches = grid[0] * grid[1]
    num_visible = int(num_patches * (1 - ratio))
    if not 0 < num_visible < num_patches:
        raise UserError(
            f"masking: ratio {ratio} of {grid[0]} x {grid[1]} patches leaves {num_visible} of {num_patches} "
            "visible, and at least one must be visible and one hidden; set another masking.ratio, "
            "or smaller patches"
        )
    return num_visible
