"""What TensorBoard itself reads in a folder: the oracle of all that is written for it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorboard", reason="pip install 'cmae-ablate[tensorboard]'")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read(folder: Path) -> EventAccumulator:
    """All events of one run."""
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Steps and values of one tag, as TensorBoard draws them."""
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


def shown_text(folder: Path, tag: str) -> str:
    """The text of a tag."""
    (event,) = read(folder).Tensors(f"{tag}/text_summary")
    return b"".join(event.tensor_proto.string_val).decode()
