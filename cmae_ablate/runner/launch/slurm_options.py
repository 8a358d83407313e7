"""`--slurm KEY=VALUE`: every key is a long option of sbatch, but for those that the launcher sets itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cmae_ablate.errors import UserError

_LOGS = "a task's log lies in the study's folder, appended to, where `status` names it"
_BACK = "a task that is preempted or out of time goes back to the queue; whole, or the study would not end"
_READ = "what sbatch prints is read by this command"
_NOTHING = "nothing would be submitted"
_HERE = "workers have this command's environment and start in its folder"
OWNED = {
    "array": "the array has --workers tasks",
    "output": _LOGS,
    "error": _LOGS,
    "open-mode": _LOGS,
    "requeue": _BACK,
    "no-requeue": _BACK,
    "export": _HERE,
    "export-file": _HERE,
    "chdir": _HERE,
    "wrap": "it is the workers' command",
    "wait": "this command waits, unless it has --no-wait",
    "clusters": "name the cluster by SLURM_CONF, for squeue and scancel as well",
    "parsable": _READ,
    "quiet": _READ,
    "verbose": _READ,
    "test-only": _NOTHING,
    "help": _NOTHING,
    "usage": _NOTHING,
    "version": _NOTHING,
}
"""Options of sbatch that are none of the user's here, and why."""
_SIGNAL = re.compile(r"B:(SIG)?TERM@\d+")


def sbatch_options(texts: Sequence[str]) -> tuple[str, ...]:
    """The options as sbatch's arguments; what they mean is for sbatch to judge.

    Args:
        texts: `KEY=VALUE`, as typed; `KEY=` is an option without a value.

    Raises:
        UserError: Not of this form, or an option that the launcher sets itself.
    """
    return tuple(_argument(text) for text in texts)


def _argument(text: str) -> str:
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[a-z][a-z0-9-]+", key):
        right = key.lstrip("-").replace("_", "-").lower()
        remedy = f"as {right}={value or 'VALUE'}" if len(right) > 1 else "as time=04:00:00"
        raise UserError(
            f"--slurm {text}: KEY=VALUE is expected, with the long name of an option of sbatch, {remedy}; "
            "an option without a value ends in ="
        )
    if key == "signal" and not _SIGNAL.fullmatch(value):
        raise UserError(
            f"--slurm {text}: a worker writes its checkpoint at TERM, which must reach it alone; write "
            "signal=B:TERM@SECONDS, the time before its end that it is told"
        )
    # sbatch takes abbreviations, too.
    owned = next((name for name in OWNED if name.startswith(key)), None)
    if owned is not None:
        raise UserError(
            f"--slurm {text}: sbatch's --{owned} is set by --launcher slurm: {OWNED[owned]}; leave it out"
        )
    return f"--{key}={value}" if value else f"--{key}"
