"""TensorBoard's event files: written record by record, without its threads, and read back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

Point = tuple[int, Any]
"""A step, and a `Summary.Value`: a tag with a number or a text."""


def number(tag: str, value: float, step: int) -> Point:
    """A point of a curve."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return step, Summary.Value(tag=tag, simple_value=value)


def text(tag: str, rows: Mapping[str, str]) -> Point:
    """A table of two columns, shown as a text of step 0."""
    from torch.utils.tensorboard import summary

    cells = [[each.replace("|", "\\|").replace("\n", "<br>") for each in row] for row in rows.items()]
    lines = [" | ".join(row) for row in (("name", "value"), ("---", "---"), *cells)]
    return 0, summary.text(tag, "\n".join(lines)).value[0]


def new_file(folder: Path, kind: str) -> Path:
    """A name that no file of the folder has; TensorBoard reads files in the order of their names."""
    return folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}.{kind}"


def append(file: Path, points: Iterable[Point]) -> None:
    """Add points to an event file, which is made with its folder if need be.

    Raises:
        OSError: They cannot be written; a piece of a record may stand at the end of the file then.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from torch.utils.tensorboard import RecordWriter

    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with file.open("ab") as opened:
        writer = RecordWriter(opened)
        if not opened.tell():
            writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for step, value in points:
            event = Event(wall_time=time.time(), step=step, summary=Summary(value=[value]))
            writer.write(event.SerializeToString())


def replace(folder: Path, kind: str, points: Iterable[Point]) -> None:
    """Write points to a file that takes the place of all others of its kind; arguments as of `append`."""
    before = list(folder.glob(f"events.*.{kind}"))
    append(new_file(folder, kind), points)
    for file in before:
        file.unlink(missing_ok=True)


def read(folder: Path, kind: str) -> list[Point]:
    """What the files of a kind hold; of a damaged one what stands before the damage."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found: list[Point] = []
    for file in sorted(folder.glob(f"events.*.{kind}")):
        with suppress(Exception):  # the parser's, of bytes that are no event
            for event in LegacyEventFileLoader(str(file)).Load():
                found += [(event.step, value) for value in event.summary.value]
    return found
