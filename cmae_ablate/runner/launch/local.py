"""Workers as processes of this machine."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from cmae_ablate.runner.launch import forking
from cmae_ablate.runner.launch.forking import ForkedProcess
from cmae_ablate.runner.stopping import STOPPED, STOPPING, StopFlag, end_at_once, handling, say

Process = subprocess.Popen[bytes] | ForkedProcess
LOGGER = logging.getLogger(__name__)
LOG_VARIABLE = "CMAE_ABLATE_LOG"
"""Environment variable that tells a worker where its output goes, for `status`."""
PARENT_VARIABLE = "CMAE_ABLATE_FOLLOW_PARENT"
"""Set for workers whose standard input is a pipe that closes when the process that started them ends."""
STOPPED_CODES = (0, 130, 143)
"""Exit statuses of a worker that found nothing left, or was told to stop."""
GRACE_SECONDS = 120.0
POLL_SECONDS = 0.1
_MEBIBYTE = 2**20
# Large tensors come and go every step: handed back to the kernel each time, they cost thousands of page
# faults a step. 32 MiB is the largest threshold that glibc accepts.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = 32 * _MEBIBYTE, 1024 * _MEBIBYTE
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(_MMAP_THRESHOLD),
    "MALLOC_TRIM_THRESHOLD_": str(_TRIM_THRESHOLD),
}
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # in glibc's malloc.h


def run_workers(
    command: Sequence[str],
    workers: int,
    *,
    devices: Sequence[str] | None,
    log_dir: Path,
    environment: Mapping[str, str] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> list[int]:
    """Run the same command `workers` times at once and wait for all of them.

    The first SIGINT or SIGTERM is passed on to every worker, which then has `grace_seconds` to write its
    checkpoint; a second one, or the end of that time, kills. Workers themselves count no second: a terminal
    sends each to the whole group, and so they hear of it twice. A worker that dies is not started again: the
    others take over its cell. Inside `forking.ready_to_fork`, a Python module that computes on the CPU is
    forked; CUDA is better off in a process of its own.

    Args:
        command: Program and arguments.
        workers: At least 1.
        devices: One entry a worker for `CUDA_VISIBLE_DEVICES`; None shares the CPU's cores among them.
        log_dir: Gets `worker-0.log` and so on, appended to, readable by the owner only.
        environment: Further variables of the workers: what arguments would show to every user.
        grace_seconds: See above.

    Returns:
        Exit statuses in order; 128 + n where signal n ended a worker, `forking.UNTOLD` where nobody knows.
        Once a signal was passed on, it is the one that it asks for of each that did not finish.
    """
    assert workers >= 1
    assert devices is None or len(devices) == workers
    log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    processes: list[Process] = []
    logs = [log_dir / f"worker-{index}.log" for index in range(workers)]
    stopping = _Stopping(processes, grace_seconds)
    with handling(stopping.note):
        try:
            for index, log in enumerate(logs):
                variables = {**_environment(index, workers, devices, log), **(environment or {})}
                processes.append(_start(command, variables, log, fork=devices is None))
            while any(process.poll() is None for process in processes):
                stopping()
                time.sleep(POLL_SECONDS)
        finally:
            codes = [_end(process) for process in processes]
    for index, (code, log) in enumerate(zip(codes, logs, strict=True)):
        if code not in STOPPED_CODES and index not in stopping.killed:
            LOGGER.warning("%s %s; log: %s", log.stem, how_it_ended(code, last_line(log)), log)
    # Whatever kept one from its checkpoint, it ended because it was told to.
    return [stopping.status if stopping.status and code not in STOPPED_CODES else code for code in codes]


def keep_memory() -> None:
    """Give this process the allocator's thresholds that `run_workers` gives to workers.

    What the environment says of them is left alone, and so is a C library that is not glibc.
    """
    if any(name in os.environ for name in ALLOCATOR):
        return
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)


def follows_parent() -> bool:
    """Whether this is a worker that another process started, passes signals to, and kills if need be."""
    return os.environ.get(PARENT_VARIABLE) == "1"


def follow_parent() -> None:
    """In a worker of `run_workers`: behave as on SIGTERM when the process that started it is gone.

    What does not end then, for its cell hangs, has nobody left who would kill it: it ends itself after the
    grace. Elsewhere nothing happens.
    """
    if not follows_parent():
        return

    def wait() -> None:
        # Nothing is ever written: reading returns when the other end closes.
        os.read(sys.stdin.fileno(), 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        end_at_once(signal.SIGTERM)

    threading.Thread(target=wait, name="follow parent", daemon=True).start()


def _start(command: Sequence[str], environment: dict[str, str], log: Path, *, fork: bool) -> Process:
    # In this process's own group: whoever kills the whole group reaches the workers, too.
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        server = forking.server() if fork and list(command[:2]) == [sys.executable, "-m"] else None
        if server is not None:
            try:
                return server.start(command, environment, output.fileno())
            except OSError as error:
                LOGGER.warning("%s; a new process is started instead", error)
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment
        )


def _end(process: Process) -> int:
    """Let nothing of a worker stay behind; its exit status, 128 + n where signal n ended it."""
    if process.poll() is None:
        process.kill()
    code = process.wait()
    if process.stdin is not None:
        process.stdin.close()
    return code if code >= 0 else 128 - code


def _environment(index: int, workers: int, devices: Sequence[str] | None, log: Path) -> dict[str, str]:
    environment = {**ALLOCATOR, **os.environ, LOG_VARIABLE: str(log), PARENT_VARIABLE: "1"}
    environment["PYTHONUNBUFFERED"] = "1"
    if devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = devices[index]
    # Before torch is loaded: pools of idle threads would fight over the cores.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // workers)))
    return environment


class _Stopping:
    """Passes the first signal on; knows when patience ends.

    Attributes:
        status: The exit status that the first signal asks for; 0 before.
        killed: Which processes had to be killed then.
    """

    def __init__(self, processes: Sequence[Process], grace_seconds: float) -> None:
        self._processes = processes
        self._grace_seconds = grace_seconds
        self._flag = StopFlag()
        self._deadline = float("inf")
        self._told: set[int] = set()
        self._has_said = False
        self.killed: set[int] = set()

    @property
    def status(self) -> int:
        return self._flag.status

    def note(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: does no more than take notice, for a handler may interrupt anything."""
        if not self._flag():
            self._deadline = time.monotonic() + self._grace_seconds
        elif self._flag.is_old:
            self._deadline = time.monotonic()
        self._flag.note(number)

    def __call__(self) -> None:
        if not self._flag():
            return
        if not self._has_said:
            self._has_said = True
            say(STOPPING)
        for index, process in enumerate(self._processes):
            if process.pid not in self._told:
                self._told.add(process.pid)
                process.send_signal(self.status - 128)
            elif time.monotonic() > self._deadline and process.poll() is None:
                if not self.killed:
                    say(STOPPED)
                self.killed.add(index)
                process.kill()


def how_it_ended(code: int, said: str) -> str:
    """The end of a worker in words: what killed it, or what it said last.

    Args:
        code: As `run_workers` gives it.
        said: Its last line.
    """
    if code == forking.UNTOLD:
        return (
            f"has ended, and how is unknown, as the process that forked it was killed; its last words: {said}"
        )
    if code - 128 not in signal.valid_signals():
        return f"ended with status {code}: {said}"
    why = ", as the system does where memory runs out" if code - 128 == signal.SIGKILL else ""
    return (
        f"ended with status {code}: killed by {signal.Signals(code - 128).name}{why}; its last words: {said}"
    )


def last_line(log: Path) -> str:
    """What a worker said last, as far as it can be read."""
    with log.open("rb") as output:
        output.seek(max(0, log.stat().st_size - 4096))
        lines = output.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
