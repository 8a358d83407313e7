"""The account of a preparation: how many files were found and used, and why the others were not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

from cmae_ablate.errors import readable


@dataclass(frozen=True)
class LeftOut:
    """Files that were found and not used, for one reason.

    Attributes:
        reason: As a plural, such as `hidden image(s)`.
        count: How many.
        example: The first one's path.
        told: Whether a user should hear of it beside results; False where nobody would expect such files
            to be used.
    """

    reason: str
    count: int
    example: str
    told: bool

    def __str__(self) -> str:
        return f"{self.count:,} {self.reason}, such as {self.example}"


@dataclass(frozen=True)
class Account:
    """Every file of a source, used or not: `found` is `used` and all of `left_out` together."""

    used: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def found(self) -> int:
        """How many files there are."""
        return self.used + sum(entry.count for entry in self.left_out)

    def lines(self) -> tuple[str, ...]:
        """For people: the sum, then a line for each reason."""
        total = f"files: {self.found:,} found, {self.used:,} used, {self.found - self.used:,} left out"
        return total, *(f"  {entry}" for entry in self.left_out)

    def notice(self) -> str | None:
        """One sentence on what was left out unexpectedly; None where nothing was."""
        told = [str(entry) for entry in self.left_out if entry.told]
        return f"left out {'; '.join(told)}" if told else None

    def to_json(self) -> dict[str, object]:
        """For `meta.json`."""
        return {"used": self.used, "left_out": [asdict(entry) for entry in self.left_out]}

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> Account:
        """What `to_json` wrote.

        Raises:
            KeyError: It is something else; or TypeError.
        """
        used, left_out = found["used"], found["left_out"]
        if not isinstance(left_out, list):
            raise TypeError("no account of a preparation")
        account = cls(cast("int", used), tuple(LeftOut(**entry) for entry in left_out))
        counts = [account.used, *(entry.count for entry in account.left_out)]
        texts = [text for entry in account.left_out for text in (entry.reason, entry.example)]
        if not (
            all(type(count) is int and count >= 0 for count in counts)
            and all(isinstance(text, str) for text in texts)
            and all(isinstance(entry.told, bool) for entry in account.left_out)
        ):
            raise TypeError("no account of a preparation")
        return account


def account_of(used: int, left_out: Iterable[tuple[str, str]], expected: Collection[str]) -> Account:
    """Sum up.

    Args:
        used: How many files were used.
        left_out: Path and reason of every other file.
        expected: The reasons that a user need not hear of.
    """
    paths: dict[str, list[str]] = {}
    for path, reason in left_out:
        paths.setdefault(reason, []).append(path)
    entries = [
        LeftOut(reason, len(found), readable(min(found)), reason not in expected)
        for reason, found in sorted(paths.items())
    ]
    return Account(used, tuple(entries))
