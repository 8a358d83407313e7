"""Two ways of doing the same work, timed in turns: ratios survive a machine whose speed drifts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """How much faster the new way is than the reference.

    Attributes:
        name: What was compared.
        ratio: Median over the rounds of reference time over own time.
        low: First quartile of the ratios.
        high: Third quartile of the ratios.
        own_seconds: Median time of the own way.
        reference_seconds: Median time of the reference.
        rounds: Number of rounds.
        target: What `ratio` should reach; None where nothing is asked.
        remark: What a reader must know.
    """

    name: str
    ratio: float
    low: float
    high: float
    own_seconds: float
    reference_seconds: float
    rounds: int
    target: float | None = None
    remark: str = ""

    def record(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


def compare(
    name: str,
    own: Callable[[], object],
    reference: Callable[[], object],
    *,
    rounds: int,
    repeats: int = 1,
    target: float | None = None,
    remark: str = "",
) -> Comparison:
    """Time both ways `rounds` times in turns, after one turn each that is not counted.

    Args:
        name: What is compared.
        own: The own way.
        reference: The other way.
        rounds: At least 1; each gives one ratio.
        repeats: Calls that a round times together.
        target: What the median ratio should reach.
        remark: For the table.
    """
    pairs = []
    for round_ in range(rounds + 1):
        # Who goes first changes, so that neither always meets the other's leftovers in the caches.
        ways = (own, reference) if round_ % 2 else (reference, own)
        seconds = {way: _timed(way, repeats) for way in ways}
        pairs.append((seconds[own], seconds[reference]))
    times = np.array(pairs[1:])
    low, ratio, high = np.quantile(times[:, 1] / times[:, 0], [0.25, 0.5, 0.75])
    own_seconds, reference_seconds = np.median(times, axis=0)
    return Comparison(
        name,
        float(ratio),
        float(low),
        float(high),
        float(own_seconds),
        float(reference_seconds),
        rounds,
        target,
        remark,
    )


def _timed(way: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        way()
    return (time.perf_counter() - start) / repeats
