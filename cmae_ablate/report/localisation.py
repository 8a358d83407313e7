"""How well each variant's crop boxes found the objects, beside what finds boxes without any training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.wording import in_quotes, listing, number, one_line

PREFIX = "crop."
COVERS = 0.9
"""A median box above this share of the image localises nothing."""
IOU = ("iou", "iou_full", "iou_center", "iou_border", "iou_random_init")
AREAS = ("box_area_p10", "box_area_p50", "box_area_p90")
HEADER = (
    *("variant", "IoU", "full image", "centre box", "border distance", "random init"),
    *("area, 10 % quantile", "area, median", "area, 90 % quantile"),
)
CAPTION = (
    "Mean IoU of the last boxes with the data set's, over training images and seeds; then what needs no "
    "training: the full image, a centred box of half the side, distance from the border's colour, and the "
    "same heat map from a random-init encoder. A localiser must beat all four. Areas are shares of the image."
)


@dataclass(frozen=True)
class Localisation:
    """What was measured of the variants' boxes.

    Attributes:
        full: One row a variant that measured anything: its label and the mean over seeds of each last number.
        lines: The same as a reader sees it, under `HEADER`.
        notes: Boxes that do nothing, or find less than what needs no training.
    """

    full: pd.DataFrame
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def localisation(logged: pd.DataFrame | None, study: StudyDescription) -> Localisation | None:
    """The variants' last measurements; None where no variant has any.

    Args:
        logged: Columns `variant, seed, epoch, name, value`.
        study: Whose variants, in table order.
    """
    if logged is None:
        return None
    ours = logged[logged["name"].str.startswith(PREFIX) & logged["variant"].isin(study.variants)]
    last = ours.sort_values("epoch").groupby(["variant", "seed", "name"])["value"].last()
    rows: dict[str, dict[str, float]] = {}
    for variant in study.variants:
        if variant in last.index.get_level_values("variant"):
            means = last.loc[variant].groupby("name").mean()
            rows[variant] = {name: float(means.get(f"{PREFIX}{name}", math.nan)) for name in (*IOU, *AREAS)}
    if not rows:
        return None
    lines = [
        (one_line(variant), *(number(value, 3) for value in row.values())) for variant, row in rows.items()
    ]
    full = pd.DataFrame([{"variant": variant, **row} for variant, row in rows.items()])
    return Localisation(full, tuple(lines), tuple(_notes(rows)))


def _notes(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What boxes do not do, each time for all variants of which it is true alike."""
    found: dict[str, list[str]] = {}
    for variant, row in rows.items():
        for fault in _faults(row):
            found.setdefault(fault, []).append(in_quotes(variant))
    return [f"the boxes of {listing(variants)} {fault}" for fault, variants in found.items()]


def _faults(row: Mapping[str, float]) -> Iterator[str]:
    if row["box_area_p50"] > COVERS:
        yield (
            f"cover the image (median area {row['box_area_p50']:.2f} of it): they localise nothing, and "
            "their crops are all but random ones"
        )
    without = {name: row[name] for name in IOU[1:] if not math.isnan(row[name])}
    best = max(without, key=without.__getitem__, default="")
    if best and row["iou"] <= without[best]:
        yield (
            f"find the objects no better (IoU {row['iou']:.3f}) than {_WITHOUT[best]} ({without[best]:.3f})"
        )


_WITHOUT = dict(
    zip(
        IOU[1:],
        ("the full image", "a centred box", "distance from the border's colour", "a random-init encoder"),
        strict=True,
    )
)
