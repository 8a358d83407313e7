"""`data prepare` and `data show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from rich.console import Console

from cmae_ablate.cli.targets import check_picture, written
from cmae_ablate.components.loading import load_components
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.files import private_files
from cmae_ablate.runner.progress import preparation
from cmae_ablate.study.assignments import read_assignment
from cmae_ablate.study.settings import SpecError, apply, default_tree
from cmae_ablate.study.trial_spec import resolve
from cmae_ablate.terminal import say
from cmae_ablate.training.pictures import save_png

SHOWN = 32
SHOWN_CLASSES = 10


@private_files()
def prepare_data(
    name: str, source: str | None, settings: Sequence[str], download: bool, console: Console
) -> DataArrays:
    """Prepare a data set into the cache and say what is in it.

    Args:
        name: The data set.
        source: Its files, where it needs any.
        settings: Further options as `OPTION=VALUE`.
        download: Whether to fetch the files.
        console: Where to say it.

    Raises:
        UserError: The data set, an option or a file is wrong.
    """
    load_components()
    options: dict[str, object] = {"name": name}
    options |= {"source": source} if source is not None else {}
    options |= {"download": True} if download else {}
    for text in settings:
        short = text.lstrip().removeprefix("dataset.")
        path, value = read_assignment(
            short, {"dataset": options}, prefix=("dataset",), example="image_size=32"
        )
        options[".".join(path[1:])] = value
    try:
        choice = resolve(apply(default_tree(), ("dataset",), options))["dataset"]
    except SpecError as error:
        raise UserError(f"data {name}: {'.'.join(error.path)}: {error.message}") from error
    notices: list[str] = []
    with preparation(console) as progress:
        data = choice.prepare(progress, notices.append)
    # Those of an earlier preparation too: they say what the data are, whenever they were made.
    for text in (*data.notices, *(text for text in notices if text not in data.notices)):
        say(f"note: {text}", console)
    for line in summary(data):
        say(line, console)
    return data


def summary(data: DataArrays) -> tuple[str, ...]:
    """What a prepared data set is: its parts, its classes, and which files it was made of."""
    shown = ", ".join(data.class_names[:SHOWN_CLASSES])
    more = f", ... and {data.num_classes - SHOWN_CLASSES} more" if data.num_classes > SHOWN_CLASSES else ""
    return (
        f"{data.name}: {len(data.train):,} training, {len(data.validation):,} validation and "
        f"{len(data.test):,} test images, {data.num_classes} classes, {data.image_size} pixels, "
        f"digest {data.digest[:12]}",
        f"{data.num_classes} classes: {shown}{more}",
        *(data.account.lines() if data.account else ()),
    )


def show_data(
    name: str, source: str | None, settings: Sequence[str], picture: Path, console: Console
) -> None:
    """Draw some training images with labels and boxes.

    Args:
        name: The data set.
        source: Its files, where it needs any.
        settings: Further options as `OPTION=VALUE`.
        picture: PNG file to write.
        console: Where to say it.

    Raises:
        UserError: The data set, an option or a file is wrong, or `picture` cannot be written.
    """
    is_replaced = check_picture(picture, "--picture")
    data = prepare_data(name, source, settings, False, console)
    chosen = np.linspace(0, len(data.train) - 1, min(SHOWN, len(data.train)), dtype=int)
    figure = Figure(figsize=(10, 6), dpi=120, layout="constrained")
    axes = figure.subplots(4, 8).reshape(-1)
    for axis, index in zip(axes, chosen, strict=False):
        axis.imshow(data.train.images[index].transpose(1, 2, 0), interpolation="nearest")
        axis.set_title(data.class_names[data.train.labels[index]][:18], fontsize=7)
        top, left, bottom, right = data.train.boxes[index] * data.image_size
        if np.isfinite(top):
            axis.add_patch(
                Rectangle(
                    (left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor="#E69F00"
                )
            )
    for axis in axes:
        axis.set_axis_off()
    save_png(figure, picture)
    say(written(picture, is_replaced, "drawn"), console)
