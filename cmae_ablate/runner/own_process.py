"""What a GPU is asked by a process that ends with the answer: the one that starts workers opens none itself.

A process that has opened a GPU holds some of its memory to its end, and an error of the GPU is its end.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from cmae_ablate.errors import DivergedError, UserError


def answer_of(program: Sequence[str], question: object, what: str) -> Any:
    """Run a program that reads JSON and writes its answer as the last line of its output, as JSON.

    Args:
        program: With its arguments.
        question: What it reads.
        what: What it does, to begin a sentence with.

    Raises:
        UserError: It failed without an answer.
    """
    asked = json.dumps(question)
    done = subprocess.run(program, input=asked, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    found = json.loads(lines[-1]) if lines else None
    if done.returncode and not found:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(f"{what} ended with status {done.returncode}: {last}")
    return found


def in_one_line(error: Exception, what: str) -> str:
    """What to say of an error: of one that is none of the user's the kind, and the first line of it."""
    if isinstance(error, UserError | DivergedError):
        return str(error)
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{what}: {type(error).__name__}: {said}; the same may run with --device cpu"
