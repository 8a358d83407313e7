"""Workers as Ray tasks: each runs the same worker command on whichever node has room for it."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmae_ablate.errors import UserError
from cmae_ablate.runner.launch.local import ALLOCATOR, LOG_VARIABLE, PARENT_VARIABLE
from cmae_ablate.runner.stopping import noting_signals

LOGGER = logging.getLogger(__name__)
POLL_SECONDS = 0.5
LOST_PER_WORKER = 10
"""How often a worker that was lost with its node is started anew."""


def run_workers(
    command: Sequence[str],
    workers: int,
    *,
    environment: Mapping[str, str],
    log_dir: Path,
    threads: int,
    gpus: float,
) -> list[int]:
    """Run the same command as `workers` Ray tasks and wait for all of them.

    The cluster is the one that RAY_ADDRESS names, else one that runs on this machine, else a new local one.
    Ray repeats nothing by itself: a worker that is lost with its node is started anew, for the queue gives
    its cell to whoever asks next. The first SIGINT or SIGTERM lets every worker write its checkpoint; a
    second one kills them.

    Args:
        command: Program and arguments; every node must have the program, and see the same files.
        workers: At least 1; those that find no room wait for it.
        environment: Further variables of the workers.
        log_dir: Gets `worker-0.log` and so on, appended to, readable by the owner only.
        threads: CPUs that a worker takes.
        gpus: GPUs that a worker takes where the cluster has any; 0.5 puts two on one.

    Returns:
        Exit statuses in order, 130 or 143 for all where the command was told to stop.

    Raises:
        UserError: Ray is not installed, or no cluster can be reached or started.
    """
    ray = _connect(log_dir)
    stop = _stop_beside(ray)
    gpus = gpus if ray.cluster_resources().get("GPU") else 0.0
    work = ray.remote(_work).options(max_retries=0, num_cpus=threads, num_gpus=gpus)
    log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    given = {**ALLOCATOR, **environment, PARENT_VARIABLE: "1", "PYTHONUNBUFFERED": "1"}
    given["OMP_NUM_THREADS"] = str(threads)

    def start(index: int) -> Any:
        log = log_dir.resolve() / f"worker-{index}.log"
        return work.remote(list(command), {**given, LOG_VARIABLE: str(log)}, str(Path.cwd()), str(log), stop)

    try:
        with noting_signals() as asked:
            codes = _follow(ray, start, workers, stop, asked)
            return [128 + asked[0]] * workers if asked else codes
    finally:
        ray.shutdown()


def _follow(
    ray: Any, start: Callable[[int], Any], workers: int, stop: Any, asked: Sequence[int]
) -> list[int]:
    """Start the tasks, pass on what is asked, and start anew what is lost, until all have ended."""
    codes = [1] * workers
    lost = 0
    running = {start(index): index for index in range(workers)}
    while running:
        if asked:
            stop.ask.remote(len(asked) > 1)
        for task in ray.wait(list(running), timeout=POLL_SECONDS)[0]:
            index = running.pop(task)
            try:
                codes[index] = ray.get(task)
            except ray.exceptions.RayError as error:
                lost += 1
                LOGGER.warning("worker-%d was lost: %s", index, str(error).splitlines()[0])
                if not asked and lost <= LOST_PER_WORKER * workers:
                    running[start(index)] = index
    return codes


def worker_count(threads: int, gpus: float, log_dir: Path) -> int:
    """How many workers the cluster has room for now; at least 1.

    Raises:
        UserError: As for `run_workers`.
    """
    room = _connect(log_dir).cluster_resources()
    by_cpu = int(room.get("CPU", 1) // threads)
    by_gpu = int(room.get("GPU", 0) / gpus) if gpus else 0
    return max(1, min(by_cpu, by_gpu) if by_gpu else by_cpu)


class _Stop:
    """Lives beside the launcher; tasks ask it whether they shall end, and how."""

    def __init__(self) -> None:
        self._asked = ""

    def ask(self, at_once: bool) -> None:
        self._asked = "at once" if at_once else "checkpoint"

    def asked(self) -> str:
        return self._asked


def _stop_beside(ray: Any) -> Any:
    """A `_Stop` on this node."""
    home = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return ray.remote(_Stop).options(num_cpus=0, scheduling_strategy=home).remote()


def _work(command: list[str], environment: dict[str, str], folder: str, log: str, stop: Any) -> int:
    """One task: the worker as a process, so that its end, its signals and its log are those of any worker."""
    import ray

    descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd=folder,
        )
    told = False
    try:
        while process.poll() is None:
            asked = ray.get(stop.asked.remote())
            if asked == "at once":
                process.kill()
            elif asked and not told:
                told = True
                # Ray's processes, and their children, have SIGINT blocked.
                process.send_signal(signal.SIGTERM)
            time.sleep(POLL_SECONDS)
    finally:
        # The worker takes the end of this pipe for a SIGTERM: so it does when this task or its node dies.
        assert process.stdin is not None
        process.stdin.close()
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _connect(log_dir: Path) -> Any:
    # Both are read when Ray is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _offer_token(log_dir)
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise UserError("--launcher ray: Ray is missing; run: pip install 'cmae-ablate[cluster]'") from error
    if ray.is_initialized():
        return ray
    try:
        ray.init(log_to_driver=False, logging_level=logging.WARNING, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = os.environ.get("RAY_ADDRESS", "this machine")
        raise UserError(
            f"--launcher ray: no cluster at {where} ({str(error).splitlines()[0]}); start one with "
            "'ray start', name it by RAY_ADDRESS, and give its token by RAY_AUTH_TOKEN_PATH"
        ) from error
    return ray


def _offer_token(log_dir: Path) -> None:
    """A token for a cluster of our own, where the user has none: a file that only its owner may read."""
    if any(os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        return
    if (Path.home() / ".ray" / "auth_token").is_file() or os.environ.get("RAY_ADDRESS"):
        return
    log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = log_dir.resolve() / "ray_token"
    if not path.is_file():
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN_PATH"] = "token", str(path)
