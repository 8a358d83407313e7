"""The picture of how cost grows."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.lines import Line2D

Y_LABELS = {"workers": "seconds of all workers together"}
MEMORY = {
    "bytes": ("s--", "#D55E00", "memory"),
    "private_bytes": ("^-.", "#009E73", "memory without the mapped file"),
}


def draw(found: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Seconds and memory against the count, both axes logarithmic, beside the line of proportion.

    Args:
        found: Points by what was counted: `count`, `seconds`, `bytes`, and perhaps `private_bytes`.
        path: Of the picture.
    """
    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (3.6 * len(found), 3.2)
    figure, axes = pyplot.subplots(
        1, len(found), figsize=size, layout="constrained", gridspec_kw={"wspace": 0.05}
    )
    shown: dict[str, Line2D] = {}
    for axis, (name, points) in zip(axes, found.items(), strict=True):
        counts = np.array([point["count"] for point in points])
        seconds = np.array([point["seconds"] for point in points])
        lines = axis.loglog(counts, seconds, "o-", color="#0072B2", label="seconds")
        # Through the last point: what start-up costs lifts the first ones above it.
        proportional = seconds[-1] * counts / counts[-1]
        lines += axis.loglog(counts, proportional, ":", color="0.5", label="proportional")
        axis.set(xlabel=f"number of {name}", ylabel=Y_LABELS.get(name, "seconds"))
        twin = axis.twinx()
        for key, (style, colour, label) in MEMORY.items():
            if key in points[0]:
                held = [point[key] / 2**20 for point in points]
                lines += twin.semilogx(counts, held, style, color=colour, label=label)
        each = " of each (MiB)" if name == "workers" else " (MiB)"
        limit = 1.3 * max(point["bytes"] for point in points) / 2**20
        twin.set(ylabel=f"memory{each}", ylim=(0, limit))
        shown = {str(line.get_label()): line for line in lines} | shown
    figure.legend(shown.values(), shown.keys(), frameon=False, loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=200)
