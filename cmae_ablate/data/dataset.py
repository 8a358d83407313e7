"""What a data set is to the framework: it names its images and writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cmae_ablate.data.writer import ArrayWriter, Progress


@dataclass(frozen=True)
class ExpectedSize:
    """How large a data set will be, before anything of it is read.

    Attributes:
        train: Training images.
        held_out: Validation and test images together.
        classes: Number of classes.
        image_size: Height and width in pixels.
        basis: What this rests on, for people.
    """

    train: int
    held_out: int
    classes: int
    image_size: int
    basis: str


class Dataset(Protocol):
    """A source of labelled images. Built from `()`; its options say where and which.

    A class attribute `caveat`, where there is one, is shown beside every result on it: what they cannot show.
    """

    def cache_key(self) -> str:
        """What tells its folder in the cache from those of other options or another source; readable.

        One piece of a path. Its registered name and version come before it: another data set, or another
        version of this one, never finds the folder.

        Raises:
            UserError: The source is missing.
        """
        ...

    def expected_size(self) -> ExpectedSize | None:
        """Known without reading anything, for `plan`; None where the source must be read to know."""
        ...

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        """Write every split.

        Raises:
            UserError: The source is damaged or incomplete.
        """
        ...
