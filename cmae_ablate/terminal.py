"""The one way of printing: what is said is shown as it is, and an output that is lost stops no work.

Labels, names, paths and errors come from strangers. Nothing of them is markup here, no control character
reaches the terminal, and a terminal that cannot show a character gets another spelling of it.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.table import Table
from rich.text import Text

from cmae_ablate.errors import printable, readable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LOG_COLUMNS = 160
_PATH = re.compile(r"(?:^|[\s'\"\u2018(=:])[.~]*/|/.*/|/\S*\.")
"""What begins like a path, or has two slashes or a name with a dot; a unit such as `GFLOP/s` has not."""
_SPELLED = "cmae_ablate.spelled"
_SPELLINGS = {  # minus, hyphens, dashes and lines; quotation marks; signs of arithmetic
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\u2015\u2500\u2501", "-"),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    **{"\u2265": ">=", "\u2264": "<=", "\u00b1": "+/-", "\u00d7": "x", "\u2026": "...", "\u2192": "->"},
    **{"\u0394": "delta", "\u00b7": ".", "\u2588": "#"},
}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its header.
        is_number: To the right and in one piece; words stand at the left and fold.
        in_one_piece: Never folded.
    """

    title: str
    is_number: bool = False
    in_one_piece: bool = False


class PlainColumn(ProgressColumn):
    """A column of a progress bar whose text is shown as it is.

    Args:
        template: A format of the task, such as `{task.description}`.
        style: Rich's name of a style.
    """

    def __init__(self, template: str, style: str = "") -> None:
        super().__init__()
        self._template, self._style = template, style

    def render(self, task: Task) -> Text:
        """The task's text."""
        return Text(readable(self._template.format(task=task)), style=self._style)


def open_console(*, stderr: bool = False) -> Console:
    """The standard output; a log file has no width of its own, and 80 columns would fold every table."""
    stream: TextIO | None = sys.stderr if stderr else sys.stdout
    _spelled(stream)
    is_terminal = stream is not None and stream.isatty()
    return Console(stderr=stderr) if is_terminal else Console(stderr=stderr, width=LOG_COLUMNS)


def say(text: str, console: Console, *, style: str = "", end: str = "\n") -> None:
    """Print a text as it is; the terminal breaks its lines, so that a path stays in one piece.

    Args:
        text: What to say.
        console: Where.
        style: Rich's name of a style, such as `bold`.
        end: What follows.
    """
    console.print(Text(printable(text), style=style), end=end, soft_wrap=True)


def say_sentence(text: str, console: Console, *, style: str = "") -> None:
    """Print a sentence: a terminal gets it in lines of whole words, a file in one.

    What has a path in it is left to the terminal, as in `say`: a blank of a path is no place to fold.
    """
    if console.is_terminal and not _PATH.search(text):
        text = textwrap.fill(text, console.width, break_long_words=False, break_on_hyphens=False)
    say(text, console, style=style)


def say_table(
    header: Sequence[Column | str],
    rows: Sequence[Sequence[str] | None],
    console: Console,
    *,
    title: str = "",
    ruled: bool = False,
    framed: bool = True,
) -> None:
    """Print a table.

    Args:
        header: Its columns, or their titles.
        rows: Its cells, as many a row as there are columns; None is a line between two parts.
        console: Where.
        title: What stands above it.
        ruled: Whether lines part the rows.
        framed: Whether it has a frame.
    """
    table = Table(
        title=Text(printable(title)) if title else None,
        title_justify="left",
        show_lines=ruled,
        box=box.HEAVY_HEAD if framed else box.SIMPLE_HEAD,
        pad_edge=framed,
    )
    for each in header:
        column = each if isinstance(each, Column) else Column(each)
        table.add_column(
            Text(printable(column.title)),
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number or column.in_one_piece,
            overflow="fold",
        )
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


def say_json(value: object) -> None:
    """Print a value as JSON, in ASCII, and nothing else, to the standard output."""
    say_exactly(json.dumps(value, indent=2, allow_nan=False) + "\n")


def say_exactly(text: str) -> None:
    """Print a file's text, for another file; only a terminal is spared what it would obey."""
    _spelled(sys.stdout)
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Say on the standard error, in one line, why the command ends."""
    _spelled(sys.stderr)
    with suppress(OSError, ValueError):  # closed or full: there is nobody to tell
        print(readable(text), file=sys.stderr, flush=True)


class Output(io.FileIO):
    """A standard output that takes whatever is written once nobody can read it any more.

    Attributes:
        lost: Why it cannot be written; None while it can.
    """

    lost: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        """Write, or pretend to."""
        if self.lost is None:
            try:
                return super().write(data) or 0
            except OSError as error:
                self.lost = error
        return memoryview(data).nbytes


@contextmanager
def lasting_output() -> Iterator[Callable[[], OSError | None]]:
    """Meanwhile an output that is closed or full loses what is printed, and no work.

    Yields:
        A function that tells why the standard output is lost; None where it is not.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_lasting(stream) for stream in before)
    try:
        yield lost_output
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def lost_output() -> OSError | None:
    """Why the standard output cannot be written any more, below `lasting_output`; None where it can."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, Output) else None


def _lasting(stream: TextIO) -> TextIO:
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # none, closed, or a test's
        return stream if stream is not None else open(os.devnull, "w", encoding="utf-8")
    return io.TextIOWrapper(
        io.BufferedWriter(Output(descriptor, "w", closefd=False)),
        encoding=stream.encoding,
        errors=_SPELLED,
        line_buffering=True,
    )


def _spelled(stream: TextIO | None) -> None:
    """What the encoding of a stream lacks is spelled out, from now on."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
        stream.reconfigure(errors=_SPELLED)


def _spelling(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    failed = error.object[error.start : error.end]
    # One line of ASCII a character, whatever the encoding.
    spelled = "".join(
        _SPELLINGS.get(each) or each.encode("unicode_escape").decode("ascii") for each in failed
    )
    return spelled, error.end


codecs.register_error(_SPELLED, _spelling)
