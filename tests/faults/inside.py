"""Faults from inside: a command that runs lines of a test where it imports what trains."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import indent

# Not at once: a command that finds torch imported forks no workers, and those that it would start instead
# would know nothing of the lines.
_SCRIPT = """
import sys
from pathlib import Path
from cmae_ablate.cli import app, studies
marker = Path(sys.argv.pop())
def prepare():
{lines}
def at_hand(options, before=studies._workers_at_hand):
    prepare()
    return before(options)
studies._workers_at_hand = at_hand
app.main()
"""


def command_with(lines: str, marker: Path, *arguments: str) -> list[str]:
    """`cmae-ablate` with lines that are run before it forks its workers, which therefore know them, too.

    Args:
        lines: Python; `marker` is there.
        marker: What the lines may write to, so that a test sees that they were reached.
        arguments: Of the command, which is `run`.
    """
    return [sys.executable, "-c", _SCRIPT.format(lines=indent(lines, "    ")), *arguments, str(marker)]
