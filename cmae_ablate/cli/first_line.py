"""The first line of every command: what it is about to do, before anything slow is imported."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from cmae_ablate.terminal import open_console, say

WORDS = {
    "run": "checking the study",
    "plan": "working out what the study takes",
    "worker": "checking the study",
    "status": "asking where the cells stand",
    "report": "writing tables and figures",
    "components": "listing components",
    "studies": "listing studies",
    "schema": "making the schema of study files",
    "init": "writing a study file",
    "doctor": "looking at this machine",
    "data list": "listing data sets",
    "data prepare": "preparing data",
    "data show": "drawing images",
    "cache list": "looking through the cache",
    "cache prune": "looking through the cache",
    "evaluate": "reading the checkpoint",
    "reconstruct": "reading the checkpoint",
    "export": "reading the checkpoint",
}
"""What each command does first, by its name."""
PRINTS_DATA = ("schema",)
"""Commands whose output is for other programs, whatever their options."""
STUDY = ("study", "studies")


def announced(command: Callable[..., None] | None, name: str) -> Callable[..., None] | None:
    """Let a command begin with a line about itself: on stderr where its output is data, for programs.

    Args:
        command: What typer calls; None where it calls nothing.
        name: As it is typed, the group's name before it.
    """
    if command is None:
        return None

    @functools.wraps(command)
    def called(*arguments: object, **options: object) -> None:
        is_data = name in PRINTS_DATA or bool(options.get("as_json"))
        is_data |= name == "studies" and options.get("name") is not None  # a file, to be redirected
        title = " ".join([name, *_subjects(options)])
        say(f"{title}: {WORDS.get(name, 'at work')} ...", open_console(stderr=is_data))
        command(*arguments, **options)

    return called


def _subjects(options: dict[str, object]) -> list[str]:
    """The studies that a command is about, as typed."""
    given = [options[name] for name in STUDY if name in options]
    named = [each for one in given for each in (one if isinstance(one, list) else [one])]
    return [str(each) for each in named if isinstance(each, str | Path)]
