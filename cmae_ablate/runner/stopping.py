"""Being told to stop: the first signal asks for a checkpoint, the second ends the process at once.

Python runs its handlers in the main thread, between two of its instructions: a call into C that does not
return holds them up for ever. So a thread of its own hears of signals through a pipe, which Python's handler
in C writes to at the very moment of a signal.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM)
SAME_SECONDS = 0.5
"""Two signals so close together are one: `timeout` and others send each to a process and to its group."""
STOPPING = (
    "stopping: what is under way writes a checkpoint after its next step; the same signal again stops at once"
)
STOPPED = "stopped at once; nothing finished is lost, the same command goes on from the last checkpoint"
Handler = Callable[[int, FrameType | None], object]
_SHOW_CURSOR = b"\x1b[?25h"


class StopFlag:
    """Remembers the first SIGINT or SIGTERM.

    Attributes:
        status: The exit status that it asks for, 130 or 143; 0 before.
    """

    def __init__(self) -> None:
        self.status = 0
        self._first = 0.0
        self._listeners: list[Callable[[], None]] = []

    def __call__(self) -> bool:
        return self.status != 0

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """Signal handler: does no more than take notice, for a handler may interrupt anything."""
        if not self.status:
            self._first = time.monotonic()
            self.status = 128 + number

    @property
    def is_old(self) -> bool:
        """Whether another signal would be a second one."""
        return self() and time.monotonic() - self._first > SAME_SECONDS

    @contextmanager
    def telling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call the listener at the first signal that comes inside the block, from a thread of its own."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def tell(self) -> None:
        """Call whoever listens."""
        for listener in list(self._listeners):
            listener()


@contextmanager
def catching_signals(flag: StopFlag, *, owns_process: bool = True, follows: bool = False) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM set the flag, and the second end the process as `kill -9` would.

    For a process's main thread.

    Args:
        flag: Asked between steps.
        owns_process: False in somebody's Python session, which a second signal must not take away: it raises
            `KeyboardInterrupt` there.
        follows: Another process passes the signals of its group on, and kills this one at the second: here
            it counts for nothing.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if flag.is_old and not owns_process:
            raise KeyboardInterrupt
        flag.note(number)

    heard = StopFlag()  # by the clock of the thread that hears, which may be late

    def hear(number: int) -> None:
        is_first, is_again = not heard(), heard.is_old
        heard.note(number)
        flag.note(number)
        flag.tell()
        if is_first and not follows:
            say(STOPPING)
        if is_again and owns_process and not follows:
            end_at_once(number)

    with _hearing(hear, dict.fromkeys(NUMBERS, handle)):
        yield


@contextmanager
def second_ends() -> Iterator[None]:
    """Where a command is not at its cells: Ctrl-C raises as usual, and the second ends the process at once.

    Code that does not come back from C would hear of neither.
    """
    flag = StopFlag()

    def hear(number: int) -> None:
        if flag.is_old:
            end_at_once(number)
        flag.note(number)

    with _hearing(hear, {signal.SIGINT: signal.default_int_handler}):
        yield


@contextmanager
def handling(handler: Handler) -> Iterator[None]:
    """Let SIGINT and SIGTERM call a handler of a thread that never hangs, and nobody else hear of them."""
    pipe = signal.set_wakeup_fd(-1)
    before = {number: signal.signal(number, handler) for number in NUMBERS}
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)
        signal.set_wakeup_fd(pipe)


@contextmanager
def noting_signals() -> Iterator[list[int]]:
    """Yields a list that gets the number of each SIGINT or SIGTERM; of two that are one, only once."""
    asked: list[int] = []
    flag = StopFlag()

    def note(number: int, frame: FrameType | None) -> None:
        if not asked or flag.is_old:
            asked.append(number)
        flag.note(number)

    with handling(note):
        yield asked


def say(text: str) -> None:
    """Tell whoever sent the signal, past every lock that a hanging thread may hold."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())


def end_at_once(number: int) -> None:
    """End this process with the status that the signal asks for; all else is as after `kill -9`."""
    with suppress(OSError):
        if os.isatty(1):
            os.write(1, _SHOW_CURSOR)  # a bar hid it
    say(STOPPED)
    os._exit(128 + number)


@contextmanager
def _hearing(hear: Callable[[int], None], handlers: dict[signal.Signals, Handler]) -> Iterator[None]:
    """Call `hear` with each signal's number, from a thread, as soon as it comes."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        while numbers := os.read(reader, 64):
            for number in numbers:
                if number in handlers:  # the pipe gets the numbers of all signals that Python handles
                    hear(number)

    thread = threading.Thread(target=listen, name="signals", daemon=True)
    thread.start()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    pipe = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(pipe)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        thread.join()
        os.close(reader)
