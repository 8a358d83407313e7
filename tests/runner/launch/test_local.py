"""Workers as real processes, small ones."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cmae_ablate.runner.launch.forking import UNTOLD
from cmae_ablate.runner.launch.local import how_it_ended, run_workers

pytestmark = pytest.mark.distributed
STOPS_ON_SIGNAL = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
Path(sys.argv[1]).mkdir(exist_ok=True)
(Path(sys.argv[1]) / str(__import__("os").getpid())).touch()
time.sleep(60)
"""
STUBBORN = STOPS_ON_SIGNAL.replace("lambda *_: sys.exit(143)", "signal.SIG_IGN")


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def signal_when_ready(ready: Path, workers: int, number: int) -> threading.Thread:
    """Send this process a signal once all workers have said that they are ready."""

    def wait() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if ready.is_dir() and len(list(ready.iterdir())) == workers:
                break
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_exit_statuses_come_back_in_order(tmp_path: Path) -> None:
    code = "import os, sys; sys.exit(int(os.environ['CUDA_VISIBLE_DEVICES']))"
    assert run_workers(python(code), 3, devices=["0", "130", "0"], log_dir=tmp_path) == [0, 130, 0]


def test_each_worker_has_its_own_private_log_and_knows_where_it_is(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    run_workers(python("import os; print(os.environ['CMAE_ABLATE_LOG'])"), 2, devices=None, log_dir=logs)
    written = {path: path.read_text().strip() for path in logs.iterdir()}
    assert written == {logs / f"worker-{index}.log": str(logs / f"worker-{index}.log") for index in range(2)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (*logs.iterdir(),)} == {0o600}


def test_the_allocator_keeps_what_a_step_frees(tmp_path: Path) -> None:
    code = "import os; print(os.environ['MALLOC_MMAP_THRESHOLD_'], os.environ['MALLOC_TRIM_THRESHOLD_'])"
    run_workers(python(code), 1, devices=None, log_dir=tmp_path)
    assert (tmp_path / "worker-0.log").read_text().split() == [str(2**25), str(2**30)]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_every_worker(tmp_path: Path, number: int, status: int) -> None:
    ready = tmp_path / "ready"
    sender = signal_when_ready(ready, 2, number)
    codes = run_workers(python(STOPS_ON_SIGNAL, str(ready)), 2, devices=None, log_dir=tmp_path)
    sender.join()
    assert codes == [status, status]


def test_a_worker_that_ignores_the_signal_is_killed_after_the_grace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ready = tmp_path / "ready"
    sender = signal_when_ready(ready, 1, signal.SIGTERM)
    started = time.monotonic()
    codes = run_workers(python(STUBBORN, str(ready)), 1, devices=None, log_dir=tmp_path, grace_seconds=0.5)
    sender.join()
    assert codes == [143]  # what it was told, not how: 137 would read as a want of memory
    assert time.monotonic() - started < 30


def test_a_worker_that_dies_is_named_with_its_last_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        codes = run_workers(
            python("print('out of cheese'); raise SystemExit(3)"), 1, devices=None, log_dir=tmp_path
        )
    assert codes == [3]
    assert f"worker-0 ended with status 3: out of cheese; log: {tmp_path}/worker-0.log" in caplog.text


def test_a_worker_that_was_killed_is_not_said_to_have_ended_by_its_last_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = "import os; print('checking the study ...', flush=True); os.kill(os.getpid(), 9)"
    with caplog.at_level(logging.WARNING):
        assert run_workers(python(code), 1, devices=None, log_dir=tmp_path) == [137]
    assert (
        "worker-0 ended with status 137: killed by SIGKILL, as the system does where memory runs out; "
        "its last words: checking the study ...; log: "
    ) in caplog.text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "ended with status 1: out of cheese"),
        (128 + signal.SIGSEGV, "ended with status 139: killed by SIGSEGV; its last words: out of cheese"),
        (255, "ended with status 255: out of cheese"),
        (UNTOLD, "has ended, and how is unknown, as the process that forked it was killed; its last words: "),
    ],
)
def test_the_end_of_a_worker_is_said_as_far_as_it_is_known(code: int, words: str) -> None:
    assert how_it_ended(code, "out of cheese").startswith(words)


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_workers(python(""), 1, devices=None, log_dir=tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before


def test_workers_stop_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    follow = (
        "import sys, time; from cmae_ablate.runner.launch.local import follow_parent; "
        "follow_parent(); open(sys.argv[1], 'w').write(str(__import__('os').getpid())); time.sleep(60)"
    )
    start = (
        "import sys; from pathlib import Path; from cmae_ablate.runner.launch.local import run_workers; "
        f"command = [sys.executable, '-c', {follow!r}, sys.argv[1]]; "
        "run_workers(command, 1, devices=None, log_dir=Path(sys.argv[2]))"
    )
    marker = tmp_path / "pid"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(python(start, str(marker), str(tmp_path)), env=environment) as parent:
        deadline = time.monotonic() + 30
        while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        parent.kill()
    worker = int(marker.read_text())
    while _is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_running(worker)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_freed_memory_is_kept_in_a_process_that_no_launcher_started() -> None:
    code = """
import os, resource, sys
from cmae_ablate.runner.launch.local import ALLOCATOR, keep_memory
for name in ALLOCATOR:
    os.environ.pop(name, None)
if sys.argv[1:]:
    keep_memory()
size = 2**24
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [b"x" * size for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    counted = [
        int(subprocess.run(python(code, *arguments), env=bare, check=True, capture_output=True).stdout)
        for arguments in ([], ["keep"])
    ]
    if counted[0] < 4000:
        pytest.skip("this C library gives no freed memory back")
    assert counted[1] < 100
