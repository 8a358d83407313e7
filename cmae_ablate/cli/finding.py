"""What `doctor` found of one thing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: Its name.
        state: What was found.
        remedy: What to do; empty where all is well.
        optional: Whether studies run without it.
    """

    what: str
    state: str
    remedy: str = ""
    optional: bool = False
