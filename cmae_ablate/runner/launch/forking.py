"""Workers forked from a process that has imported what they need: there in a moment, not in seconds.

Importing torch, timm, SciPy and MLflow takes longer than a small cell. A command that will start workers
forks a server of them as soon as it has imported, before it opens a file, a database or a thread of its own;
the server forks a worker whenever it is told to, tells how each ended, and ends with the command.

A worker gets its standard input, its output and a pipe for its exit status from whoever starts it. So it
outlives the server, whose death costs no more than an exit status, and it follows the command.

`multiprocessing`'s forkserver with preload would be less code. It is a new program, which imports all of it
anew: from a command's start to its worker's first line the machine computed 18.1 s instead of 7.5, and
that line came 40 s later on a busy machine. And it gives a worker neither an environment, nor an output, nor
an input that closes with the command.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import IO, Any, NoReturn

import numpy as np
import setproctitle
from threadpoolctl import threadpool_limits

from cmae_ablate.runtime import set_threads

GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What a terminal or a scheduler sends to all processes of a command: the server leaves it to the others."""
POLL_SECONDS = 0.1
UNTOLD = 256
"""In place of an exit status, none of which is so large: the server was gone before it could tell one."""
LARGEST = 2**20
"""Bytes of an order: the arguments and the environment of a worker."""
_server: ContextVar[ForkServer | None] = ContextVar("server", default=None)


class ForkedProcess:
    """What `subprocess.Popen` offers of a process, of one whose parent is the server."""

    def __init__(self, pid: int, status: int, stdin: IO[bytes]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = stdin
        self._status = status

    def poll(self) -> int | None:
        """The exit status, negative for a signal, or `UNTOLD`; None while the process runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._read()
        return self.returncode

    def wait(self) -> int:
        """The exit status, once there is one.

        If the server is gone, the process may have milliseconds to go: its files are closed before the kernel
        counts it as ended.
        """
        return self._read() if self.returncode is None else self.returncode

    def send_signal(self, number: int) -> None:
        """To a process that runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read(self) -> int:
        self.returncode = int(os.read(self._status, 16) or UNTOLD)
        os.close(self._status)
        return self.returncode


class ForkServer:
    """The process that has imported, seen from the one that forked it.

    Attributes:
        pid: Its number.
    """

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # a collection in a child would write to, and so copy, every page of what is imported
        signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)  # for good in the server
        with warnings.catch_warnings():
            # Threads of BLAS libraries, which know of forks; others are not there yet.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            self._connection.close()
            _ending(_serve, theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
        gc.unfreeze()
        theirs.close()

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: int) -> ForkedProcess:
        """Fork a worker.

        Args:
            command: `python -m MODULE ARGUMENTS`.
            environment: All of its variables.
            log: Open file that gets its output.

        Raises:
            OSError: The server is gone.
        """
        order = {"command": list(command), "environment": dict(environment)}
        stdin, stdin_end = os.pipe()
        status_end, status = os.pipe()
        try:
            socket.send_fds(self._connection, [json.dumps(order).encode()], [stdin, log, status])
            pid = int(self._connection.recv(16) or 0)
            if not pid:
                raise BrokenPipeError("the process that forks workers is gone")
        except OSError:
            os.close(stdin_end)
            os.close(status_end)
            raise
        finally:
            os.close(stdin)
            os.close(status)
        return ForkedProcess(pid, status_end, os.fdopen(stdin_end, "wb"))

    def close(self) -> None:
        """End the server; workers, if there are any left, go on."""
        self._connection.close()
        os.waitpid(self.pid, 0)


@contextmanager
def ready_to_fork() -> Iterator[None]:
    """Let `server` give one inside the block. For a process that has imported and done nothing else.

    Elsewhere than on Linux, which passes open files and message boundaries as it takes, nothing happens.
    """
    if sys.platform != "linux":
        yield
        return
    made = ForkServer()
    token = _server.set(made)
    try:
        yield
    finally:
        _server.reset(token)
        made.close()


def server() -> ForkServer | None:
    """The server, inside `ready_to_fork`."""
    return _server.get()


def _ending(work: Callable[..., int], *arguments: object) -> NoReturn:
    """In a forked process: work, and end with the status; what the parent was doing never goes on here."""
    status = 1
    try:
        status = work(*arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _serve(connection: socket.socket) -> int:
    setproctitle.setproctitle("cmae-ablate: forks what trains")
    statuses: dict[int, int] = {}
    while True:
        if select.select([connection], [], [], POLL_SECONDS if statuses else None)[0]:
            order, files, _, _ = socket.recv_fds(connection, LARGEST, 3)
            if not order:
                return 0  # who started this has ended
            pid = os.fork()
            if pid == 0:
                connection.close()
                for descriptor in statuses.values():
                    os.close(descriptor)
                # Its own stays open: whoever started it sees it end even if this server is gone by then.
                os.set_inheritable(files[2], False)
                _ending(_become, json.loads(order), *files[:2])
            statuses[pid] = files[2]
            for descriptor in files[:2]:
                os.close(descriptor)
            connection.send(str(pid).encode())
        _tell(statuses)


def _tell(statuses: dict[int, int]) -> None:
    """Say of each child that has ended how it did."""
    for pid in list(statuses):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            pipe = statuses.pop(pid)
            with suppress(BrokenPipeError):
                os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(pipe)


def _become(order: dict[str, Any], stdin: int, output: int) -> int:
    """Be the process that the order describes.

    Returns:
        Its exit status.
    """
    for theirs, own in ((stdin, 0), (output, 1), (output, 2)):
        os.dup2(theirs, own)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(own, "w", buffering=1, closefd=False) for own in (1, 2))
    os.environ.clear()
    os.environ.update(order["environment"])
    if "OMP_NUM_THREADS" in os.environ:  # read by libraries when they are loaded, which they are already
        threadpool_limits(int(os.environ["OMP_NUM_THREADS"]))
        set_threads(int(os.environ["OMP_NUM_THREADS"]))
    np.random.seed()  # its global generator does not know that it was copied
    _, _, module, *arguments = order["command"]
    sys.argv = [module, *arguments]
    setproctitle.setproctitle(" ".join(order["command"]))
    return _run(module)


def _run(module: str) -> int:
    """As `python -m module`: run it, then do what the interpreter does at its end."""
    status = 0
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)  # what came since the fork comes now
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    # No public function does either, and the interpreter is not asked to end: its caller's would go on.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status
