"""What a run of the benchmarks was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch


@dataclass(frozen=True)
class Setting:
    """The command line's options, for every section.

    Attributes:
        rounds: Turns of each comparison.
        quick: Whether it works, not how fast it is: the smallest sizes.
        device: Where models and views are.
        official: A checkout of MAE's official repository to compare with; None where there is none.
        out: Where results go.
    """

    rounds: int = 8
    quick: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    official: Path | None = None
    out: Path = Path(__file__).parent
