"""A thread that does one thing after another, so that nobody has to wait for it longer than he wants."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Background:
    """Does what it is given in order. What it hangs on ends with the process.

    `concurrent.futures` would be joined when the interpreter ends, and so hang with it.

    Args:
        name: Of the thread, which begins with the first thing to do.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._things: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, thing: Callable[[], object]) -> None:
        """Do this after all that was given before; it must not raise."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._things.put(thing)

    def wait(self, seconds: float) -> bool:
        """Until all that was given so far is done; False where the time does not suffice."""
        done = threading.Event()
        self.do(done.set)
        return done.wait(seconds)

    def _run(self) -> None:
        while True:
            self._things.get()()
