"""Workers forked from a process that has imported: like processes of their own in all that others see."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cmae_ablate.runner.launch import forking
from cmae_ablate.runner.launch.local import run_workers

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only"),
]
MODULE = """
import os, signal, sys, time
import numpy as np, torch
from pathlib import Path
what, *arguments = sys.argv[1:]
if what == "tell":
    print(__name__, arguments, os.environ["CMAE_ABLATE_LOG"], "HOME" in os.environ)
    print(torch.get_num_threads(), np.random.random())
    print("complaint", file=sys.stderr)
    sys.exit(3)
if what == "raise":
    raise KeyError("nothing like it")
if what == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "wait":
    from cmae_ablate.runner.launch.local import follow_parent
    follow_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    Path(arguments[0]).mkdir(exist_ok=True)
    (Path(arguments[0]) / str(os.getpid())).touch()
    while not (Path(arguments[0]) / "end").exists():
        time.sleep(0.02)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "told_what_to_do.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return "told_what_to_do"


@pytest.fixture
def ready() -> Iterator[forking.ForkServer]:
    with forking.ready_to_fork():
        found = forking.server()
        assert found is not None
        yield found


def until(found: Path) -> list[int]:
    """The pids that the workers have written, once there is one."""
    deadline = time.monotonic() + 60
    while not (found.is_dir() and list(found.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(path.name) for path in found.iterdir()]


def starter_of_one(module: str, folder: Path, devices: list[str] | None) -> subprocess.Popen[bytes]:
    """A process that waits for a worker of its own."""
    code = (
        "import sys; from pathlib import Path; from cmae_ablate.runner.launch import forking, local\n"
        "with forking.ready_to_fork():\n"
        f"    local.run_workers(sys.argv[2:], 1, devices={devices}, log_dir=Path(sys.argv[1]))"
    )
    command = [sys.executable, "-m", module, "wait", str(folder / "pids")]
    return subprocess.Popen([sys.executable, "-c", code, str(folder), *command])


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 60
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_worker_is_the_process_that_was_asked_for(
    module: str, ready: forking.ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)  # known to the server, whose environment is not the worker's
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    command = [sys.executable, "-m", module, "tell", "a b", "c"]
    assert run_workers(command, 2, devices=None, log_dir=tmp_path) == [3, 3]
    logs = [(tmp_path / f"worker-{index}.log").read_text().splitlines() for index in range(2)]
    assert [log[0] for log in logs] == [
        f"__main__ ['a b', 'c'] {tmp_path}/worker-{index}.log False" for index in range(2)
    ]
    assert [log[2] for log in logs] == ["complaint", "complaint"]
    threads, numbers = zip(*(log[1].split() for log in logs), strict=True)
    assert threads == ("3", "3")
    assert len(set(numbers)) == 2


def test_it_ends_as_a_process_ends(module: str, ready: forking.ForkServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module]
    assert run_workers([*command, "raise"], 1, devices=None, log_dir=tmp_path) == [1]
    assert "KeyError: 'nothing like it'" in (tmp_path / "worker-0.log").read_text()
    assert run_workers([*command, "die"], 1, devices=None, log_dir=tmp_path) == [128 + signal.SIGKILL]


def test_it_shows_its_own_command_and_hears_signals(
    module: str, ready: forking.ForkServer, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", module, "wait", str(tmp_path / "pids")]
    with (tmp_path / "log").open("wb") as log:
        worker = ready.start(command, dict(os.environ), log.fileno())
    assert until(tmp_path / "pids") == [worker.pid]
    assert " ".join(psutil.Process(worker.pid).cmdline()).split() == command
    assert psutil.Process(worker.pid).ppid() == ready.pid
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 143
    worker.stdin.close()
    worker.kill()  # as with Popen, of a process that is gone
    assert worker.poll() == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_leaves_the_server(ready: forking.ForkServer, number: int) -> None:
    os.kill(ready.pid, number)
    time.sleep(0.2)
    assert not gone(ready.pid)


def test_a_worker_outlives_the_server_and_a_new_one_is_started_without_it(
    module: str, ready: forking.ForkServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-m", module]
    with (tmp_path / "log").open("wb") as log:
        worker = ready.start([*command, "wait", str(tmp_path / "pids")], dict(os.environ), log.fileno())
    until(tmp_path / "pids")
    os.kill(ready.pid, signal.SIGKILL)
    until_gone(ready.pid)
    assert worker.poll() is None
    with caplog.at_level(logging.WARNING):
        assert run_workers([*command, "tell"], 1, devices=None, log_dir=tmp_path) == [3]
    assert "a new process is started instead" in caplog.text
    assert worker.poll() is None
    (tmp_path / "pids" / "end").touch()
    assert worker.wait() == forking.UNTOLD  # whoever knew how it ended is gone
    worker.stdin.close()
    until_gone(worker.pid)


def test_gpus_get_processes_of_their_own(module: str, ready: forking.ForkServer, tmp_path: Path) -> None:
    starter = starter_of_one(module, tmp_path, devices=["0"])
    (pid,) = until(tmp_path / "pids")
    assert psutil.Process(pid).ppid() == starter.pid
    (tmp_path / "pids" / "end").touch()
    assert starter.wait(60) == 0


def test_server_and_workers_end_with_whoever_started_them(module: str, tmp_path: Path) -> None:
    starter = starter_of_one(module, tmp_path, devices=None)
    (pid,) = until(tmp_path / "pids")
    server = psutil.Process(pid).ppid()
    assert psutil.Process(server).ppid() == starter.pid
    starter.kill()
    starter.wait()
    until_gone(pid, server)


def test_outside_of_it_there_is_no_server() -> None:
    with forking.ready_to_fork():
        found = forking.server()
        assert found is not None
        pid = found.pid
    assert forking.server() is None
    assert gone(pid)
