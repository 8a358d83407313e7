"""Workers as an array job of Slurm: each task runs the same worker command on whichever node it is given.

The job is submitted by `sbatch` and nothing else is needed of Slurm: which cells are done, the queue knows.
A task that is preempted, or whose time is over, writes a checkpoint at TERM and goes back to Slurm's queue.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmae_ablate.errors import UserError
from cmae_ablate.runner.launch.local import ALLOCATOR, LOG_VARIABLE
from cmae_ablate.runner.stopping import noting_signals, say

LOGGER = logging.getLogger(__name__)
TASK_VARIABLE = "CMAE_ABLATE_SLURM_TASK"
"""Set for workers that Slurm starts, tells to end, kills if need be, and starts again."""
LEAD_SECONDS = 120
"""How long before its time is over a task is told to write its checkpoint."""
LOOK_SECONDS = 5.0
"""Between two questions to the controller, which all users of a cluster share."""
POLL_SECONDS = 0.1
ANSWER_SECONDS = 60.0
"""How long a controller may take to answer, unless it is to take a job: whether it did must be known."""
OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
"""States of a task that Slurm does not run again; PREEMPTED ones go back to its queue."""
MOST_WORKERS = 16
"""Tasks where nobody says how many: a PostgreSQL server as it is installed has connections for so many."""


@dataclass(frozen=True)
class ArrayJob:
    """What is submitted.

    Attributes:
        command: Program and arguments; every node must have the program, and see the same files.
        workers: Tasks of the array, at least 1.
        options: Further arguments of sbatch.
        environment: Further variables of the workers: what arguments would show to every user.
        log_dir: Gets `worker-0.log` and so on, appended to, readable by the owner only.
        threads: CPUs that a worker takes, unless the options say otherwise.
    """

    command: Sequence[str]
    workers: int
    options: Sequence[str]
    environment: Mapping[str, str]
    log_dir: Path
    threads: int

    def submit(self) -> str:
        """Hand it to sbatch; the job's number.

        Raises:
            UserError: There is no sbatch, or it refuses the job.
        """
        require_sbatch()
        logs = str(self.log_dir.resolve())
        if "\\" in logs:  # with one, Slurm takes %a as it is written
            raise UserError(f"--out {logs}: Slurm cannot name logs below a backslash; choose another --out")
        script = [
            f"export {LOG_VARIABLE}={shlex.quote(logs)}/worker-$SLURM_ARRAY_TASK_ID.log",
            # The worker must be the very process that Slurm signals: a shell would keep TERM to itself.
            f"exec {shlex.join(self.command)}",
        ]
        arguments = [
            "--parsable",
            f"--array=0-{self.workers - 1}",
            "--job-name=cmae-ablate",
            f"--output={logs.replace('%', '%%')}/worker-%a.log",
            "--open-mode=append",
            "--export=ALL",
            "--requeue",
            f"--signal=B:TERM@{LEAD_SECONDS}",
            f"--cpus-per-task={self.threads}",
            *self.options,
            f"--wrap={chr(10).join(script)}",
        ]
        own = {TASK_VARIABLE: "1", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(self.threads)}
        variables = {**ALLOCATOR, **os.environ, **self.environment, **own}
        done = _call("sbatch", *arguments, variables=variables)
        found = re.search(r"^(?:Submitted batch job )?(\d+)(?:;.*)?$", done.stdout, re.MULTILINE)
        if done.returncode or found is None:
            said = "; ".join(
                line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()
            )
            raise UserError(
                f"--launcher slurm: sbatch refused the job ({said or 'it said nothing'}); every --slurm "
                "KEY=VALUE is its option --KEY=VALUE: see `sbatch --help` and `sinfo`"
            )
        return found[1]


def require_sbatch() -> None:
    """Refuse to go on where no job can be submitted.

    Raises:
        UserError: There is no sbatch.
    """
    if shutil.which("sbatch") is None:
        raise UserError(
            "--launcher slurm: there is no sbatch on this machine's PATH; give the command on a login node "
            "of the cluster, after its 'module load slurm' perhaps, or use --launcher local"
        )


def how_to_follow(job: str) -> str:
    """What a user can do with a job, in a line."""
    return f"'squeue --jobs={job}' shows it, 'scancel {job}' cancels it"


def run_workers(array: ArrayJob, is_done: Callable[[], bool], tell: Callable[[str], object]) -> list[int]:
    """Submit an array job and wait until no cell is left, or no task that would do it.

    The first SIGINT or SIGTERM cancels the job, whose workers then write checkpoints for as long as Slurm
    lets them (`KillWait`); a second one waits no longer. Without `squeue`, the queue of cells alone says when
    it is over.

    Args:
        array: The job.
        is_done: Whether no cell is left.
        tell: Gets the job's number and how to follow it, in words.

    Returns:
        Exit statuses in order, 0 where they are not known; 130 or 143 for all where the command was told to
        stop.

    Raises:
        UserError: As for `submit`.
    """
    codes = dict.fromkeys(range(array.workers), 0)
    with noting_signals() as asked:
        job = array.submit()
        tell(f"submitted Slurm job {job} (workers: {array.workers}); {how_to_follow(job)}")
        has_cancelled, was_over, next_look = False, False, 0.0
        while len(asked) < 2:
            if asked and not has_cancelled:
                has_cancelled, next_look = True, 0.0
                say(
                    f"cancelling Slurm job {job}: what is under way writes a checkpoint after its next step; "
                    "the same signal again waits no longer"
                )
                done = _call("scancel", job)
                if done.returncode:
                    say(f"not cancelled ({done.stderr.strip()}); give 'scancel {job}' by hand")
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_SECONDS
                tasks = _tasks(job)
                codes |= {index: code for index, (state, code) in (tasks or {}).items() if state in OVER}
                is_over = tasks is not None and all(state in OVER for state, _ in tasks.values())
                ends = has_cancelled or is_done()
                # Between its end and its place in the queue, a task may look as if it were over.
                if (is_over and (ends or was_over)) or (tasks is None and ends):
                    break
                if ends and not has_cancelled:
                    _call("scancel", "--state=PENDING", job)  # nothing is left for them
                was_over = is_over
            time.sleep(POLL_SECONDS)
    return [128 + asked[0]] * array.workers if asked else [codes[index] for index in range(array.workers)]


def is_task() -> bool:
    """Whether this process is a worker that Slurm started, tells to end, and kills if need be."""
    return os.environ.get(TASK_VARIABLE) == "1"


def go_back_to_the_queue(status: int) -> None:
    """Let Slurm start this worker again where it was told to end although nobody cancelled it.

    Of a task whose time is nearly over, or of a preempted one where Slurm warns: it would count it as ended.

    Args:
        status: The worker's exit status.
    """
    if not is_task() or status != 128 + signal.SIGTERM:
        return
    # By the array's number and the index: the task's own number may be the whole array's.
    task = f"{os.environ.get('SLURM_ARRAY_JOB_ID')}_{os.environ.get('SLURM_ARRAY_TASK_ID')}"
    # Cancelled, preempted and requeued ones are COMPLETING by now: Slurm itself knows what becomes of them.
    if _call("squeue", "--noheader", f"--jobs={task}", "--format=%T").stdout.strip() != "RUNNING":
        return
    done = _call("scontrol", "requeue", task)
    if done.returncode:
        LOGGER.warning("not requeued (%s); the same command goes on", done.stderr.strip())


def _tasks(job: str) -> dict[int, tuple[str, int]] | None:
    """State and exit status of the tasks that Slurm knows of, by index; None where it cannot be asked."""
    listed = "ArrayTaskID:32,State:32,exit_code:32"
    done = _call("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", f"--Format={listed}")
    if done.returncode:
        return {} if "Invalid job id" in done.stderr else None  # long over, or the controller is away
    found = {}
    for line in done.stdout.splitlines():
        index, state, raw = (*line.split(), "", "", "")[:3]
        if index.isdecimal():
            status = int(raw) if raw.isdecimal() else 0  # as of wait(2), whatever Slurm puts into it
            found[int(index)] = (state, 128 + (status & 0x7F) if status & 0x7F else (status >> 8) & 0xFF)
    return found


def _call(*command: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of Slurm, past this terminal's Ctrl-C; one that is not there, or silent, has failed."""
    try:
        return subprocess.run(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,
            timeout=None if command[0] == "sbatch" else ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
