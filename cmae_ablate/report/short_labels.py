"""Short names for variants with long labels: the levels that differ from what a variant is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.wording import one_line, quoted

JOIN = " + "
LONG = 30
"""Labels up to this many characters are shown as they are."""


@dataclass(frozen=True)
class ShortLabels:
    """How tables, figures and sentences name a study's variants; files of data have the whole labels.

    Attributes:
        reference: The reference's label.
        levels: Each variant's levels by factor; empty where labels are shown as they are.
    """

    reference: str
    levels: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, study: StudyDescription) -> ShortLabels:
        """Short where a label is long, joins levels of several factors, and no level is in two of them."""
        known = {variant: study.levels.get(variant, {}) for variant in study.variants}
        every = [level for levels in study.factors.values() for level in levels]
        is_short = (
            max(map(len, study.variants), default=0) > LONG
            and len(study.crossed_factors) > 1
            and len(set(every)) == len(every)
            and all(JOIN.join(levels.values()) == variant for variant, levels in known.items())
        )
        return cls(study.reference, known if is_short else {})

    @property
    def shortens(self) -> bool:
        """Whether any name is another than the label."""
        return bool(self.levels)

    def in_legend(self, variant: str) -> str:
        """Likewise, with the reference marked."""
        is_marked = self.shortens and variant == self.reference
        return f"{self.alone(variant)} (reference)" if is_marked else self.alone(variant)

    @property
    def legend_title(self) -> str | None:
        """What a legend of short names says above them."""
        return "named by what differs from the reference" if self.shortens else None

    def beside(self, variant: str, against: str) -> str:
        """The levels in which a variant differs from another; its label where nothing is to be shortened."""
        ours, theirs = self.levels.get(variant, {}), self.levels.get(against, {})
        changed = [level for factor, level in ours.items() if theirs and theirs.get(factor) != level]
        return one_line(JOIN.join(changed) or variant)

    def alone(self, variant: str) -> str:
        """Beside the reference, which has its own label."""
        return self.beside(variant, self.reference)

    def compared(self, variant: str, against: str) -> str:
        """A comparison as sentences name it: `‘a’` with the reference, else with what it is compared with."""
        own, other = quoted(self.beside(variant, against)), quoted(against)
        if against == self.reference:
            return own
        return f"{other} with {own}" if self.shortens else f"{own} against {other}"


class Compared(Protocol):
    """Anything that is compared with a variant."""

    @property
    def against(self) -> str: ...


C = TypeVar("C", bound=Compared)


def by_against(compared: Sequence[C]) -> list[tuple[str, list[C]]]:
    """Comparisons below what they are compared with, in the order in which these first come."""
    groups: dict[str, list[C]] = {}
    for each in compared:
        groups.setdefault(each.against, []).append(each)
    return list(groups.items())
