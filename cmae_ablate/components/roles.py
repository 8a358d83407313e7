"""What options of a component mean to the rest of the package, to which their names say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Options by the part they play, as a component is registered with them.

    Attributes:
        files: Those that name files whose content decides the result: a fingerprint covers what is in them,
            not where they lie. A backbone that has any is taken as it is and never trained.
        epochs: Of an evaluation: its number of epochs.
        warmup: Of a crop or an evaluation: its warm-up in epochs. It is clipped where it does not fit the
            training's epochs (the evaluation's own), and shared out by a budget.
        normalization: Of a backbone: which mean and deviation its weights expect, `imagenet` or `data`;
            without any it is the data's.
        place: Of a data set that may hold any images: the path of their folder, whose name then says what
            they are.
        draw: Of a data set that draws its images, or their division into parts, at random: a whole number
            from 0 that is the seed of that draw.
        spans: Of a crop: those in epochs that may be None, each by its share of the training. A trial fills
            them in, so that a short training has the whole schedule, too.
    """

    files: tuple[str, ...] = ()
    epochs: str | None = None
    warmup: str | None = None
    normalization: str | None = None
    place: str | None = None
    draw: str | None = None
    spans: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def role_options(self) -> list[str]:
        """All of them."""
        single = (self.epochs, self.warmup, self.normalization, self.place, self.draw)
        return [*self.files, *self.spans, *filter(None, single)]
