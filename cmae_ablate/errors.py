"""The ways this package stops on purpose."""

from difflib import get_close_matches

from cmae_ablate.text import readable

LONGEST = 4000
"""Characters of a message."""


class UserError(Exception):
    """A mistake that the user can fix: place, value and remedy in one line, exit status 2.

    Args:
        message: What stands in it may come from a stranger's file; control characters become escapes.
    """

    def __init__(self, message: str) -> None:
        text = readable(message)
        # What is wrong stands at the beginning, and what to do at the end.
        super().__init__(text if len(text) <= LONGEST else f"{text[: LONGEST - 800]} [...] {text[-700:]}")


class DivergedError(RuntimeError):
    """A loss term is no longer finite; the message names the term and the step."""


class RankError(RuntimeError):
    """Another process of a training on several devices is gone.

    Args:
        reason: What it said last; empty where it was killed.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            reason or "a rank was lost; start the same command again: it goes on from a checkpoint"
        )
        self.reason = reason


class StorageError(RuntimeError):
    """The database stayed away for longer than the queue waits; the same command resumes later."""


class NoRoomError(RuntimeError):
    """A disk is full; the message names it. Once there is room, the same command goes on."""


class DeviceError(RuntimeError):
    """A GPU reported an error after which this process can compute nothing on it; a new process can."""


class Interrupted(Exception):  # noqa: N818 - no error: the user asked for it
    """The work was asked to stop; done again, it goes on from its last checkpoint."""


class Pruned(Exception):  # noqa: N818 - no error: a search does not need the rest
    """A tuning trial was stopped early; the message says why."""


def suggest(word: str, known: list[str]) -> str:
    """Say which of `known` was probably meant, or list them all."""
    close = get_close_matches(word, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"choose from: {', '.join(known)}"
