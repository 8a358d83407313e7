"""How many seeds a study adds, and when it stops: declared beforehand, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal["different", "equal", "narrow", "budget"]
"""Why a contrast gets no further seed; `budget`: it has all that the study allows."""
REASONS: dict[Reason, str] = {
    "different": "settled as different",
    "equal": "settled as equal",
    "narrow": "settled by the width of the interval",
    "budget": "open when the most seeds were reached",
}
"""In words."""


Sharing = Literal["correlation", "bonferroni"]
"""How contrasts share the 5 %: by how closely they are seen to correlate, or whatever that may be."""


@dataclass(frozen=True)
class Looks:
    """When a contrast is looked at, by its number of pairs: after `first`, each further `block`, and `most`.

    Attributes:
        first: At least 2.
        block: At least 1.
        most: Above `first`.
    """

    first: int
    block: int
    most: int

    @property
    def pairs(self) -> tuple[int, ...]:
        """All looks, the ones to come too."""
        return (*range(self.first, self.most, self.block), self.most)

    def last(self, pairs: int) -> int:
        """How many of so many pairs the last look had; 0 before the first look."""
        return max((look for look in self.pairs if look <= pairs), default=0)


@dataclass(frozen=True)
class SeedRule:
    """Seeds are added in blocks until every declared contrast is settled, or there are as many as allowed.

    Attributes:
        looks: After how many seeds it is decided what goes on.
        precision: A contrast is settled once its simultaneous interval is no wider than plus and minus this,
            in the metric's unit; None: width settles nothing.
        smallest_effect: A contrast is settled once it differs, or is equal within plus and minus this; None:
            neither settles.
        sharing: Bonferroni's is that of plans recorded before there was another.
    """

    looks: Looks
    precision: float | None = None
    smallest_effect: float | None = None
    sharing: Sharing = "correlation"

    @property
    def aim(self) -> str:
        """What settles a contrast, in words."""
        aims = [f"its interval is within \N{PLUS-MINUS SIGN}{self.precision:g}"] if self.precision else []
        if self.smallest_effect:
            aims.append(f"it differs or is equal within \N{PLUS-MINUS SIGN}{self.smallest_effect:g}")
        return ", or ".join(aims)

    @property
    def words(self) -> str:
        """The whole rule in one phrase."""
        looks = self.looks
        added = "1 more" if looks.block == 1 else f"{looks.block} more"
        return (
            f"{looks.first} seeds, then {added} at a time for each declared contrast until {self.aim}; "
            f"at most {looks.most}"
        )

    def to_json(self) -> dict[str, float | int | None]:
        """As a study file says it."""
        return {
            "seeds": self.looks.first,
            "block": self.looks.block,
            "max_seeds": self.looks.most,
            "precision": self.precision,
            "smallest_effect": self.smallest_effect,
        }
