"""A component that a trial has chosen, with all of its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmae_ablate.components.registry import SLOTS, ComponentSpec, Registry
from cmae_ablate.errors import UserError
from cmae_ablate.study.fingerprints import file_digest
from cmae_ablate.study.settings import Tree

if TYPE_CHECKING:
    from cmae_ablate.data.arrays import DataArrays, Notice, Progress

MOST_DRAWS = 1_000
"""Seeds of a study at most: draws of data sets with neighbouring seeds lie so far apart."""


@dataclass(frozen=True)
class Choice:
    """A component with all of its options filled in.

    Attributes:
        slot: What it is chosen for.
        name: Its registered name.
        version: Its registered version.
        options: All of them.
        places: Of a data set: where its options stand, as an error message begins; empty where nobody knows.
    """

    slot: str
    name: str
    version: int
    options: Mapping[str, Any] = field(hash=False)
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def build(self, *args: Any) -> Any:
        """Construct it; `args` are what its slot's Protocol says."""
        return self.component.build(self.options, *args)

    def prepare(self, progress: Progress = lambda *_: None, notice: Notice | None = None) -> DataArrays:
        """Of a data set: its arrays, prepared where the cache has none of this name, version and options.

        Args:
            progress: Hears how far the writing is.
            notice: Hears sentences for the user; a log by default.

        Raises:
            UserError: As `cmae_ablate.data.arrays.prepare`; at the option's place where that is known.
        """
        from cmae_ablate.data.arrays import prepare

        owner = f"{self.name}-v{self.version}"
        try:
            return prepare(self.build(), progress=progress, notice=notice, owner=owner)
        except UserError as error:
            option, colon, message = str(error).removeprefix("dataset.").partition(": ")
            if not colon or option not in self.places:
                raise
            raise UserError(f"{self.places[option]}: {message}") from error

    @property
    def component(self) -> ComponentSpec[Any]:
        """The registered component."""
        registry: Registry[Any] = SLOTS[self.slot]
        return registry[self.name]

    @property
    def title(self) -> str:
        """Its name; of a data set that may hold any images also their folder's: `folder flowers`."""
        place = self._role(self.component.place)
        return f"{self.name} {Path(place).name}" if place else self.name

    @property
    def control_of(self) -> str | None:
        """Of an evaluation: the name of the one whose control it is; None where it measures a pretraining."""
        return self.component.facts.control_of

    @property
    def trains_encoder(self) -> bool:
        """Of an evaluation: whether it trains an encoder's weights."""
        return self.component.facts.trains_encoder

    @property
    def epochs(self) -> int | None:
        """Of an evaluation: for how many epochs it trains; None where it does not say."""
        found: int | None = self._role(self.component.epochs)
        return found

    @property
    def warmup(self) -> float | None:
        """Epochs before its schedule begins; None where it has none."""
        found: float | None = self._role(self.component.warmup)
        return found

    @property
    def normalization(self) -> str:
        """Of a backbone: whose mean and deviation its weights expect, `imagenet` or `data`."""
        return str(self._role(self.component.normalization) or "data")

    def with_warmup(self, epochs: float) -> Choice:
        """The same with another warm-up, in the number type that its option has; itself without any."""
        name = self.component.warmup
        if name is None:
            return self
        kind = type(self.options[name])
        return replace(self, options={**self.options, name: kind(epochs)})

    def scheduled_for(self, epochs: int) -> Choice:
        """The same in a training of so many epochs: each span that is left out is its share of them."""
        shares = self.component.spans.items()
        spans = {name: max(1, round(share * epochs)) for name, share in shares if self.options[name] is None}
        if self.component.warmup in spans:
            spans[self.component.warmup] = min(spans[self.component.warmup], epochs - 1)
        return replace(self, options={**self.options, **spans})

    def stretched(self, factor: float) -> Choice:
        """The same in a training so many times as long, of which its spans keep their share."""
        names = {*self.component.spans, *filter(None, (self.component.warmup,))}
        spans = {name: max(1, round(self.options[name] * factor)) for name in names if self.options[name]}
        return replace(self, options={**self.options, **spans})

    @property
    def can_redraw(self) -> bool:
        """Of a data set: whether its images, or its parts, are drawn by a seed of its own."""
        return self.component.draw is not None

    def drawn_for(self, seed: int) -> Choice:
        """The data set as a trial's seed draws it; no two seeds of it are any two of another's."""
        name = self.component.draw
        assert name is not None, "asked of what can redraw"
        own = self.options[name] * MOST_DRAWS + seed
        return replace(self, options={**self.options, name: own})

    def _role(self, name: str | None) -> Any:
        return None if name is None else self.options[name]

    def to_tree(self) -> Tree:
        """As a study file would write it."""
        return {"name": self.name, **self.options}

    def identity(self) -> Tree:
        """What of it a fingerprint covers: with its version, and files by their content."""
        files = {name: file_digest(self.options[name]) for name in self.component.files}
        return {"name": self.name, "version": self.version, "options": {**self.options, **files}}
