"""Files of an earlier report of the same folder for which this one has nothing: they stay, and it is said."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cmae_ablate.report.wording import listing

SOMETIMES = (
    *("contrasts.csv", "factorial.csv", "path.csv", "shapley.csv", "importance.csv", "localisation.csv"),
    *("progress.csv", "progress_effects.csv"),
    *("pareto.png", "main_effects.png", "interactions.png", "path.png", "shapley.png", "progress.png"),
    *("curves.png", "reconstructions.png", "crop_boxes.png"),
)
"""What a report writes only where it has something to show in it; a figure's PDF goes with its PNG."""


def left_over(out: Path, written: Collection[str]) -> tuple[str, ...]:
    """A note on what lies in `out` and is no part of this report; none where nothing does.

    Args:
        out: The report's folder.
        written: Names of this report's files.
    """
    found = [name for name in SOMETIMES if name not in written and (out / name).is_file()]
    if not found:
        return ()
    listed = listing(found, len(SOMETIMES))
    if len(found) == 1:
        return (f"{listed} is of an earlier report: this one has nothing to put in its place, and leaves it",)
    return (
        f"{listed} are of an earlier report: this one has nothing to put in their place, and leaves them",
    )
