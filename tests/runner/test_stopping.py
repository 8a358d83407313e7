"""Signals that find a process hanging, in Python and in C; and two that come so close that they are one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cmae_ablate.runner import stopping
from cmae_ablate.runner.stopping import STOPPED, STOPPING, StopFlag, catching_signals

pytestmark = pytest.mark.distributed
ROOT = Path(__file__).parents[2]
LOCK = "ctypes.CDLL(None).pthread_mutex_lock(mutex)"
HANGS = {
    "in a loop of Python": "while True: pass",
    # A mutex that it holds itself: the call comes back for no signal.
    "in a call into C": "\n".join(["mutex = ctypes.create_string_buffer(64)", *[LOCK] * 2]),
    "in a thread that is waited for": "thread.start()\nthread.join()",
    "in a loop that takes every error": (
        "while True:\n    try:\n        time.sleep(1000)\n    except BaseException:\n        pass"
    ),
}
CODE = """
import ctypes, threading, time
from cmae_ablate.runner import stopping
from cmae_ablate.runner.stopping import StopFlag, catching_signals, second_ends
stopping.SAME_SECONDS = {same}
flag = StopFlag()
thread = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
with {how}:
    print("hangs", flush=True)
    {hang}
"""


@contextmanager
def hanging(
    hang: str, how: str = "catching_signals(flag)", same_seconds: float = 0.05
) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to hang."""
    code = CODE.format(how=how, same=same_seconds, hang=hang.replace("\n", "\n    "))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, text=True, stdout=pipe, stderr=pipe) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "hangs\n"
            yield process
        finally:
            process.kill()


def until_said(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip() == text:
            return
    raise AssertionError(f"{text!r} was never said")


@pytest.mark.parametrize("hang", HANGS)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_whatever_hangs(number: signal.Signals, status: int, hang: str) -> None:
    with hanging(HANGS[hang]) as process:
        process.send_signal(number)
        until_said(process, STOPPING)
        assert process.poll() is None
        time.sleep(0.2)
        process.send_signal(number)
        until_said(process, STOPPED)
        assert process.wait(timeout=60) == status


def test_a_signal_that_comes_twice_at_once_is_one() -> None:
    with hanging(HANGS["in a loop of Python"], same_seconds=60) as process:
        for number in (signal.SIGINT, signal.SIGTERM):  # as `timeout` sends one to a process and its group
            process.send_signal(number)
        until_said(process, STOPPING)
        time.sleep(0.2)
        assert process.poll() is None


def test_a_worker_whose_parent_counts_the_signals_counts_none_itself() -> None:
    with hanging(HANGS["in a loop of Python"], "catching_signals(flag, follows=True)") as process:
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        assert process.poll() is None


def test_outside_of_cells_too_a_second_ctrl_c_ends_what_hangs_in_c() -> None:
    with hanging(HANGS["in a call into C"], "second_ends()") as process:
        time.sleep(1.0)  # until it is in C: before, the first one would end it as Python does
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        until_said(process, STOPPED)
        assert process.wait(timeout=60) == 130


def test_in_somebodys_session_the_second_signal_raises_and_the_first_only_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "SAME_SECONDS", 0.0)
    flag = StopFlag()
    told: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        catching_signals(flag, owns_process=False),
        flag.telling(lambda: told.append("told")),
    ):
        os.kill(os.getpid(), signal.SIGINT)
        assert flag.status == 130
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
    assert told
    assert signal.getsignal(signal.SIGINT) is before
