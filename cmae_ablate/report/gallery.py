"""Pictures of the variants below one another: reconstructions, crop boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from cmae_ablate.report.theme import COLUMN_INCHES, FigureJob, Theme, wrapped
from cmae_ablate.report.wording import counted, in_quotes, listing, one_line

RECONSTRUCTIONS, CROP_BOXES = "Reconstructions", "Crop boxes"
LEGENDS = {
    RECONSTRUCTIONS: "From top to bottom: image, what the encoder saw of it, what the decoder made of that.",
    CROP_BOXES: "Thin sky-blue lines: crops as training draws them. Thick orange: the box that they are "
    "drawn around, where the crop has one. Dashed white: the data set's own box, where it is known.",
}
"""What the lines, colours and rows of a kind of picture mean; `training/pictures.py` draws them."""
TITLE_INCHES = 0.16
MOST_LINES = 2


@dataclass(frozen=True)
class Gallery:
    """The readable pictures of one kind.

    Attributes:
        title: `Reconstructions` or `Crop boxes`.
        paths: By variant, in table order.
        images: The same pictures as (H, W, 3) uint8.
        notes: Which pictures could not be read.
    """

    title: str
    paths: Mapping[str, Path]
    images: Mapping[str, npt.NDArray[np.uint8]]
    notes: tuple[str, ...]

    @property
    def legend(self) -> str:
        """What its lines, colours and rows mean; empty where nothing is to be explained."""
        return LEGENDS.get(self.title, "")


def gather(title: str, paths: Mapping[str, Path], variants: Sequence[str]) -> Gallery:
    """Read the variants' pictures; a missing or damaged one is noted, and is no reason to have no report."""
    images: dict[str, npt.NDArray[np.uint8]] = {}
    notes = []
    for variant in variants:
        if variant not in paths:
            continue
        try:
            with Image.open(paths[variant]) as picture:
                images[variant] = np.asarray(picture.convert("RGB"))
        except OSError:
            notes.append(
                f"{title.lower()} of {in_quotes(variant)} not shown: {paths[variant]} is no picture that can "
                "be read"
            )
    return Gallery(title, {variant: paths[variant] for variant in images}, images, tuple(notes))


def gallery_figure(gallery: Gallery) -> FigureJob | None:
    """One picture a row under its variant's label; None without any picture."""
    if not gallery.images:
        return None

    def draw(theme: Theme) -> Figure:
        labels = {variant: wrapped(variant, 58, MOST_LINES) for variant in gallery.images}
        rows = [COLUMN_INCHES * image.shape[0] / image.shape[1] for image in gallery.images.values()]
        titles = [TITLE_INCHES * (label.count("\n") + 1) for label in labels.values()]
        figure = Figure(figsize=(COLUMN_INCHES, sum(rows) + sum(titles) + 0.06 * len(rows)))
        tall = float(figure.get_size_inches()[1])
        top = tall
        for (variant, image), row, title in zip(gallery.images.items(), rows, titles, strict=True):
            figure.text(0.02, (top - 0.02) / tall, labels[variant], va="top")
            axes = figure.add_axes((0.0, (top - title - row) / tall, 1.0, row / tall))
            axes.imshow(image, aspect="auto")
            axes.set_axis_off()
            top -= title + row + 0.06
        return figure

    shown = listing([one_line(variant) for variant in gallery.images])
    alt = f"{gallery.title} of {counted(len(gallery.images), 'variant')}, one below the other: {shown}."
    return FigureJob(gallery.title.lower().replace(" ", "_"), gallery.title, alt, draw)
