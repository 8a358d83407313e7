"""One figure of reconstructions and of heat maps with boxes, image by image in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from cmae_ablate.training.pictures import save_png

FOUND, KNOWN = "#56B4E9", "#FFFFFF"
"""Edges of boxes: sky blue of Okabe and Ito, and white, both apart from the map's dark purple to yellow."""
INCHES, LABEL_INCHES, LEGEND_INCHES = 1.1, 0.6, 0.4
"""Width of a column, of the labels at its left; height of the legend."""
ROW_INCHES, HEAT_ROW_INCHES = 1.08, 1.26
DPI = 150
GROUND = "#333333"
MARGIN = 0.03
"""Around images with boxes, as a share of their side."""


@dataclass(frozen=True)
class HeatRow:
    """One kind of heat map of n images.

    Attributes:
        title: What it is called.
        maps: (n, H, W) in [0, 1].
        boxes: What its boxes cover: top, left, bottom, right in [0, 1], (n, 4).
        ious: With the known boxes, (n,); NaN where none is known.
    """

    title: str
    maps: NDArray[np.float32]
    boxes: NDArray[np.float32]
    ious: NDArray[np.float32]


def save_with_boxes(
    pictures: NDArray[np.float32], heat: Sequence[HeatRow], known: NDArray[np.float32], path: Path
) -> None:
    """Draw original, masked, reconstructed, then a row for each kind of heat map, as PNG.

    Args:
        pictures: (n, 3, H, W, 3) in [0, 1]: original, masked, reconstructed.
        heat: Heat maps.
        known: Boxes of the data set, (n, 4); NaN where unknown.
        path: File to write.
    """
    count, names = len(pictures), ("original", "masked", "reconstructed")
    heights = [ROW_INCHES] * len(names) + [HEAT_ROW_INCHES] * len(heat)
    # At least four columns wide, or the legend would not fit below a single image.
    size = (INCHES * max(count, 4) + LABEL_INCHES, sum(heights) + LEGEND_INCHES)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(len(heights), count, squeeze=False, height_ratios=heights)
    for row, name in enumerate(names):
        for column in range(count):
            axes[row][column].imshow(pictures[column, row], interpolation="nearest")
        axes[row][0].set_ylabel(name, fontsize=8)
    for row, kind in enumerate(heat, start=len(names)):
        for column in range(count):
            _draw_heat(axes[row][column], pictures[column, 0], kind, column, known[column])
        axes[row][0].set_ylabel(kind.title, fontsize=8)
    for axis in axes.reshape(-1):
        axis.set_xticks([])
        axis.set_yticks([])
    handles = [
        Line2D([], [], color=FOUND, linestyle="-", label="box of the heat map"),
        Line2D([], [], color=KNOWN, linestyle="--", label="known box"),
    ]
    # On a dark ground of its own, as white edges would not show on the paper.
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2,
        fontsize=8,
        facecolor=GROUND,
        labelcolor="white",
    )
    save_png(figure, path)


def _draw_heat(
    axis: Axes, picture: NDArray[np.float32], kind: HeatRow, index: int, known: NDArray[np.float32]
) -> None:
    grey = picture.mean(axis=2)
    axis.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.imshow(kind.maps[index], cmap="inferno", vmin=0, vmax=1, alpha=0.6)
    side = len(grey)
    # A dark margin, so that boxes along the image's edge are seen, white ones too.
    axis.set_facecolor(GROUND)
    axis.set_xlim(-0.5 - MARGIN * side, side - 0.5 + MARGIN * side)
    axis.set_ylim(side - 0.5 + MARGIN * side, -0.5 - MARGIN * side)
    _draw_box(axis, kind.boxes[index] * side, FOUND, "-")
    if np.isfinite(known).all():
        _draw_box(axis, known * side, KNOWN, "--")
        axis.set_xlabel(f"IoU {kind.ious[index]:.2f}", fontsize=7, labelpad=2)


def _draw_box(axis: Axes, box: NDArray[np.float32], colour: str, style: str) -> None:
    top, left, bottom, right = (float(value) for value in box)
    # Pixels are centred on whole numbers.
    corner = (left - 0.5, top - 0.5)
    axis.add_patch(
        Rectangle(
            corner, right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.4, linestyle=style
        )
    )
