"""Many inputs in one process, each from a generator of its own: any one can be made again alone."""

from __future__ import annotations

import signal
import time
import traceback
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

from cmae_ablate.errors import UserError
from cmae_ablate.files import DamagedError
from cmae_ablate.study.settings import SpecError
from tests.fuzzing.targets import Target, targets

REFUSALS = (UserError, DamagedError, SpecError)
"""What a user is told in one line; a damaged record is set aside, a wrong setting gets its place."""
MOST_CHARACTERS = 4000
UNREADABLE = ("Cc", "Cs", "Zl", "Zp")
"""Control characters, lone surrogates, ends of lines; a character that no font has yet does no harm."""
PATIENCE = 20
"""Seconds that one input may take."""
BATCH = 50


class TooSlowError(BaseException):
    """An input took longer than anybody would wait; no reader may catch it."""


@dataclass(frozen=True)
class Failure:
    """The first input of its kind that was neither read nor refused in one line."""

    target: str
    index: int
    contents: bytes
    what: str


def fuzz(
    folder: Path, *, seed: int, inputs: int, seconds: float, only: str | None = None
) -> tuple[dict[str, int], list[Failure], float]:
    """Read inputs until there were enough, or time is up: this process's own, however busy the machine is.

    Args:
        folder: An empty one, to work in.
        seed: Decides every input.
        inputs: How many of all targets together.
        seconds: Of processor time, after which to stop, whatever is left.
        only: One target alone.

    Returns:
        How many inputs each target read, the first failure of each kind, and the seconds of
        processor time that it took.
    """
    known = {name: each for name, each in targets(folder).items() if only in (None, name)}
    whole = sum(each.share for each in known.values())
    wanted = {name: round(inputs * each.share / whole) for name, each in known.items()}
    done = dict.fromkeys(known, 0)
    kinds: dict[tuple[str, str], Failure] = {}
    start = time.process_time()
    with _strict():
        # In turns, so that time that is up leaves every target read.
        while any(done[name] < wanted[name] for name in known):
            for name, target in known.items():
                for index in range(done[name], min(done[name] + BATCH, wanted[name])):
                    done[name] += 1
                    contents = _input(target, seed, name, index)
                    error = _failure(target, contents)
                    if error is not None:
                        found = Failure(name, index, contents, _said(error))
                        kinds.setdefault((name, _kind(error)), found)
                if time.process_time() - start > seconds:
                    return done, list(kinds.values()), time.process_time() - start
    return done, list(kinds.values()), time.process_time() - start


def repeat(folder: Path, seed: int, name: str, index: int) -> tuple[bytes, BaseException | None]:
    """One input again: what it is, and what it raised that no input may raise."""
    target = targets(folder)[name]
    contents = _input(target, seed, name, index)
    with _strict():
        return contents, _failure(target, contents)


def _input(target: Target, seed: int, name: str, index: int) -> bytes:
    return target.make(Random(f"{seed} {name} {index}"))


def _failure(target: Target, contents: bytes) -> BaseException | None:
    signal.alarm(PATIENCE)
    try:
        target.read(contents)
    except REFUSALS as error:
        # A wrong setting becomes a mistake of the user where its place is known.
        text = str(UserError(str(error)) if isinstance(error, SpecError) else error)
        if len(text) > MOST_CHARACTERS or any(unicodedata.category(each) in UNREADABLE for each in text):
            return AssertionError(f"a refusal that is not one readable line: {text[:200]!r}")
    except (Exception, TooSlowError) as error:
        return error
    finally:
        signal.alarm(0)
    return None


@contextmanager
def _strict() -> Iterator[None]:
    """Warnings are failures: they would be printed between the lines. Nothing may wait for ever."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"over {PATIENCE} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.signal(signal.SIGALRM, before)


def _kind(error: BaseException) -> str:
    """Type and place: a thousand inputs that fail on one line are one failure."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "cmae_ablate" in frame.filename] or frames
    return f"{type(error).__name__} {own[-1].filename}:{own[-1].lineno}" if own else type(error).__name__


def _said(error: BaseException) -> str:
    return f"{_kind(error)}: {str(error)[:300]!r}"
