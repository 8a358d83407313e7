"""Whoever asks a training to stop, in the tests of what is stopped and resumed."""

from __future__ import annotations


class StopAfter:
    """Asks to stop once, after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == -1
