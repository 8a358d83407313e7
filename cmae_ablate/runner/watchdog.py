"""Says that a cell has taken no step for a while. It ends nothing.

From outside a long evaluation, a slow disk and a loop without end look the same, and a kill would cost what
the first two had done. Whoever reads it knows better: a second Ctrl-C stops what does not hear the first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

STALL_MINUTES = 10.0
"""Many times a step, a refresh of crops or an evaluation of a few hundred thousand images on one GPU."""


class Watchdog:
    """Watches from a thread of its own while its block runs.

    Args:
        seconds: Without a step, before it says so.
        say: Told once each time, with the seconds since the last step.
    """

    def __init__(self, seconds: float, say: Callable[[float], None]) -> None:
        self._seconds, self._say = seconds, say
        self._last = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def step(self) -> None:
        """A step was taken."""
        self._last = time.monotonic()

    def __enter__(self) -> Watchdog:
        self._last = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        told = 0.0
        while True:
            last = self._last
            left = last + self._seconds - time.monotonic()
            if left <= 0 and told != last:
                self._say(time.monotonic() - last)
                told = last
            if self._over.wait(max(left, min(self._seconds, 1.0))):
                return


def stalled_words(title: str, doing: str, seconds: float, since: float, log: str) -> str:
    """One sentence on a cell without a step.

    Args:
        title: Variant and seed.
        doing: What it was at.
        seconds: How long.
        since: Seconds since 1970 of its last step.
        log: Path of its worker's log; empty if unknown.
    """
    place = f"; log: {log}" if log else ""
    return (
        f"no step for {seconds / 60:.3g} min: {title} ({doing}), since {clock(since)}; a slow evaluation may "
        f"be all right; if it hangs, a second Ctrl-C stops it at once, and the same command goes on{place}"
    )


def clock(since: float) -> str:
    """Local time of a moment given in seconds since 1970; with its date if it is not of today."""
    then = time.localtime(since)
    is_today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", then)
