"""Two ways of doing the same work, timed in turns: ratios survive a machine whose speed drifts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Comparison:
    """How much faster the new way is than the reference.

    Attributes:
        name: What was compared.
        ratio: Median over the rounds of reference time over own time.
        low: First quartile of the ratios.
        high: Third quartile of the ratios.
        own_seconds: Median time of the own way; None where no time was compared.
        reference_seconds: Median time of the reference; None likewise.
        rounds: Number of rounds.
        target: What `ratio` should reach; None where nothing is asked.
        remark: What a reader must know.
        most: What `ratio` should not exceed; None where more is better.
        least_low: What the first quartile, too, should reach; None where only the median is asked for.
    """

    name: str
    ratio: float
    low: float
    high: float
    own_seconds: float | None
    reference_seconds: float | None
    rounds: int
    target: float | None = None
    remark: str = ""
    most: float | None = None
    least_low: float | None = None

    @property
    def verdict(self) -> str:
        """Whether what was asked for was reached; empty where nothing was."""
        if self.target is None:
            return ""
        is_met = self.target <= self.ratio <= (self.most or float("inf")) and self.low >= (
            self.least_low or 0
        )
        return "met" if is_met else "**missed**"

    @property
    def line(self) -> str:
        """For the screen: ratio, quartiles, and what was missed marked as such."""
        told = "; ".join(text for text in (self.verdict, self.remark) if text)
        return f"{self.ratio:.3g} [{self.low:.3g}, {self.high:.3g}]{f' {told}' if told else ''}"

    @classmethod
    def of(
        cls, name: str, own: np.ndarray, reference: np.ndarray, target: float | None = None, remark: str = ""
    ) -> Comparison:
        """From the seconds of each round, (rounds,)."""
        low, ratio, high = (float(value) for value in np.quantile(reference / own, [0.25, 0.5, 0.75]))
        seconds = float(np.median(own)), float(np.median(reference))
        return cls(name, ratio, low, high, *seconds, len(own), target, remark)

    @classmethod
    def within(cls, name: str, own: np.ndarray, limit: float, remark: str = "") -> Comparison:
        """Seconds of each round, (rounds,), against those that it may take."""
        title = f"{name}, against the {limit:g} s it may take"
        return cls.of(title, own, np.full(len(own), limit), target=1.0, remark=remark)

    @classmethod
    def once(
        cls,
        name: str,
        ratio: float,
        target: float | None = None,
        remark: str = "",
        most: float | None = None,
    ) -> Comparison:
        """Of something that is measured once and is no time."""
        return cls(name, ratio, ratio, ratio, None, None, 1, target, remark, most)

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
    times = in_turns([own, reference], rounds=rounds, repeats=repeats)
    return Comparison.of(name, times[0], times[1], target, remark)


def in_turns(ways: Sequence[Callable[[], object]], *, rounds: int, repeats: int = 1) -> np.ndarray:
    """Seconds of each way in each round, (ways, rounds), after one round that is not counted."""
    times = np.empty((len(ways), rounds + 1))
    for number in range(rounds + 1):
        # Who goes first changes, so that none always meets the same leftovers in the caches.
        order = range(len(ways)) if number % 2 else reversed(range(len(ways)))
        for index in order:
            times[index, number] = _timed(ways[index], repeats)
    return times[:, 1:]


def _timed(way: Callable[[], object], repeats: int) -> float:
    _finish()
    start = time.perf_counter()
    for _ in range(repeats):
        way()
    _finish()
    return (time.perf_counter() - start) / repeats


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
