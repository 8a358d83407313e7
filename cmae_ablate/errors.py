"""The ways this package stops on purpose; and what of a stranger's text a message may show.

What stands in an error comes from files, names and other programs: a terminal would obey some of it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

AMPLE = 2 * 10**9
"""Bytes that a disk has free where what was written met a limit of its own."""
LONGEST = 4000
"""Characters of a message."""
_UNSHOWN = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, separators of lines
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""They turn the reading direction, so that a text reads as another than it is; and the byte-order mark."""
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""They show nothing, though Unicode has them among letters, marks and signs: fillers, selectors of a form."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# SQLAlchemy and torch wrap what the system said into errors of their own.
_WORDS = ("database or disk is full", "No space left on device", "Disk quota exceeded")


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


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or whatever caused it, says that a disk has no room left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        if any(words in str(error) for words in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def no_room(place: Path, *, is_out: bool = False) -> str:
    """What to say, and to do, where the disk of `place` is full.

    Args:
        place: What could not be written there, whether it exists or not.
        is_out: Whether it is a study's --out, whose cache can be pruned.
    """
    there = next((each for each in (place, *place.absolute().parents) if each.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    limit = "; look at your quota, and at ulimit -f" if free > AMPLE else ""
    example = f", for example by `cmae-ablate cache prune --unused --out {place}`" if is_out else ""
    return (
        f"{place}: no room left on its disk ({free / 1e6:,.0f} MB free{limit}); free some{example}, and the "
        "same command goes on"
    )


@contextmanager
def writing(place: Path, remedy: str) -> Iterator[None]:
    """Say what a file or folder that cannot be written asks for.

    Args:
        place: What is written, named where the system names no file.
        remedy: What to do unless the disk is full, as the end of a sentence.

    Raises:
        NoRoomError: The disk is full.
        UserError: It cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        named = _named(error) or place
        if is_full(error):
            raise NoRoomError(no_room(named)) from error
        raise UserError(f"{named}: cannot be written ({error.strerror or error}); {remedy}") from error


def system_error(error: OSError) -> UserError | NoRoomError | None:
    """What to say of an error of the system that nobody expected; None where it names no path."""
    if not is_full(error):
        return path_error(error)
    named = _named(error)
    return NoRoomError(
        no_room(named) if named else "no room left on a disk; free some, and the same command goes on"
    )


def path_error(error: OSError) -> UserError | None:
    """What to say of an error of the system that names a path; None where it names none.

    What stands in the way of that path, such as a file where a folder is needed, is named instead of it.
    """
    path, remedy = _named(error), "move it away, or choose another place"
    if path is None:
        return None
    if isinstance(error, FileExistsError | NotADirectoryError):
        above = (path, *path.parents)
        blocker = next((each for each in above if os.path.lexists(each) and not os.path.isdir(each)), path)
        return UserError(f"{blocker}: a folder is needed here, and this is none; {remedy}")
    if isinstance(error, IsADirectoryError):
        return UserError(f"{path}: a file is needed here, and this is a folder; {remedy}")
    return UserError(
        f"{path}: cannot be used ({error.strerror}); put that right, or choose another place; what was done "
        "is kept, and the same command goes on"
    )


def _named(error: OSError) -> Path | None:
    """The path that an error of the system is about: where something was moved to, if it was."""
    target = None if isinstance(error, FileNotFoundError) else error.filename2
    named = error.filename if target is None else target
    return Path(os.fsdecode(named)) if isinstance(named, str | bytes | os.PathLike) else None


def suggest(word: str, known: list[str]) -> str:
    """Say which of `known` was probably meant, or list them all."""
    close = get_close_matches(word, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"choose from: {', '.join(known)}"


def printable(text: str, *, keep: str = "\n\t") -> str:
    r"""The text without anything that a terminal would obey: such characters are written as escapes, `\x1b`.

    Bytes of a file's name that are not UTF-8, which Python holds as lone surrogates, are written as the
    bytes that they are, `caf\xe9`. Letters of all scripts stay, joiners and accents among them.

    Args:
        text: Whatever it is.
        keep: Control characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each in keep or _is_shown(each) else _escaped(each) for each in text)


def readable(text: str) -> str:
    r"""As `printable`, in one line: a name, a path or a message; ends of lines are written `\n`."""
    return printable(text, keep="")


def looks(name: str) -> str:
    """What a reader sees of a name, equal for names that nobody could tell apart.

    Letters are in one Unicode form, blanks are one, and what cannot be seen is gone.
    """
    formed = _UNSEEN.sub("", unicodedata.normalize("NFKC", name))
    return " ".join("".join(each for each in formed if unicodedata.category(each) != "Cf").split())


def _is_shown(character: str) -> bool:
    return character not in _DIRECTIONS and unicodedata.category(character) not in _UNSHOWN


def _escaped(character: str) -> str:
    code = ord(character)
    # A lone surrogate is how the standard library holds a byte that is not UTF-8.
    is_byte = 0xDC80 <= code <= 0xDCFF
    return f"\\x{code - 0xDC00:02x}" if is_byte else character.encode("unicode_escape").decode("ascii")
