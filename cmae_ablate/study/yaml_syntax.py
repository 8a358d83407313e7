"""What is wrong where a file is no YAML: in a user's words, and at the place to fix.

The parser says where it could not go on. That is often lines below the quote or bracket that was left open.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.tokens import ScalarToken

_CLOSING = {"{": "}", "[": "]"}
_UNSEEN = re.compile(
    r"^ *(?:- +)*(?:-|[^:'\"#{\[]+:)"
    "([\u00a0\u1680\u2000-\u200f\u202f\u205f\u2060\u3000\ufeff])"
)
"""A key or a dash, then a blank that YAML does not take for any."""
_NO_BLANK = re.compile(r"[^\s:'\"]:(?=[^\s:/])")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Fault(NamedTuple):
    """What is wrong, at a line and a column from 1; 0 where the parser does not say."""

    line: int
    column: int
    message: str


class _Place(NamedTuple):
    """A line and a column from 0."""

    line: int
    column: int


@dataclass(frozen=True)
class _Stop:
    """Where the parser could not go on, and why.

    Attributes:
        problem: In its words.
        context: What it was reading.
        at: Where it stopped.
        began: Where what it was reading begins; `at` where it does not say.
        lines: Of the file.
        text: The file.
    """

    problem: str
    context: str
    at: _Place
    began: _Place
    lines: Sequence[str]
    text: str

    def line(self, number: int) -> str:
        """The text of a line; empty where there is none."""
        return self.lines[number] if 0 <= number < len(self.lines) else ""

    def indentation(self, number: int) -> int:
        """How many spaces a line begins with."""
        return len(self.line(number)) - len(self.line(number).lstrip(" "))


def syntax_fault(error: MarkedYAMLError, text: str) -> Fault:
    """What is wrong with a text that the parser refuses.

    Args:
        error: The parser's.
        text: All of the file.
    """
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    if mark is None:
        return Fault(0, 0, f"{problem}; fix the syntax there")
    at = _place(mark)
    began = _place(error.context_mark) if error.context_mark else at
    stop = _Stop(problem, str(error.context or ""), at, began, _BREAK.split(text), text)
    for rule in _RULES:
        found = rule(stop)
        if found is not None:
            return found
    return _fault(at, f"{problem}; fix the syntax there")


def _place(mark: Any) -> _Place:
    return _Place(mark.line, mark.column)


def _fault(place: _Place, message: str) -> Fault:
    return Fault(place.line + 1, place.column + 1, message)


def _unseen(stop: _Stop) -> Fault | None:
    if "'\\t'" in stop.problem:
        if not stop.line(stop.at.line)[: stop.at.column].strip():
            return _fault(stop.at, "a tab is used for indentation; indent with spaces")
        return _fault(stop.at, "a tab stands here; write a space instead")
    # The line above may be the one: without a space after its colon it was read as a text.
    first = stop.began.line if "simple key" in stop.context else stop.at.line
    for number in range(max(0, first - 1), stop.at.line + 1):
        found = _UNSEEN.search(stop.line(number))
        if found:
            sign = found.group(1)
            name = unicodedata.name(sign, "no name").lower()
            return _fault(
                _Place(number, found.start(1)),
                f"an invisible character stands here (U+{ord(sign):04X}, {name}); write a space instead",
            )
    return None


def _another_document(stop: _Stop) -> Fault | None:
    if "another document" not in stop.problem:
        return None
    return _fault(
        stop.at,
        "a study, or a scale, is one document, and here begins another; put it into a file of its own",
    )


def _open_quote(stop: _Stop) -> Fault | None:
    if "quoted scalar" in stop.context and "end of stream" in stop.problem:
        quote = stop.line(stop.began.line)[stop.began.column : stop.began.column + 1]
        return _fault(stop.began, f"this quote is never closed; add {quote} where its text ends")
    quoted = _quoted_before(stop)
    if not stop.problem.startswith("expected <block end>") or quoted is None:
        return None
    began, end = _place(quoted.start_mark), _place(quoted.end_mark)
    if began.line < end.line:
        message = f"this quote is closed only in line {end.line + 1}; add {quoted.style} where its text ends"
        return _fault(began, message)
    inside = "''" if quoted.style == "'" else '\\"'
    return _fault(
        stop.at,
        f"a text goes on after its closing quote; put quotes around all of it, and write {inside} for a "
        "quote inside",
    )


def _quoted_before(stop: _Stop) -> Any:
    """The quoted text that ends where the parser stopped, or a few spaces before."""
    last: Any = None
    try:
        for token in YAML(typ="safe", pure=True).scan(stop.text):
            if _place(token.start_mark) >= stop.at:
                break
            last = token
    except MarkedYAMLError:
        pass  # it is known what came before
    is_quoted = isinstance(last, ScalarToken) and last.style in ("'", '"')
    return last if is_quoted and last.end_mark.line == stop.at.line else None


def _open_bracket(stop: _Stop) -> Fault | None:
    extra = re.search(r"but found '([]}])'", stop.problem)
    if extra:
        return _fault(stop.at, f"nothing is open that this {extra.group(1)} could close; remove it")
    opening = stop.line(stop.began.line)[stop.began.column : stop.began.column + 1]
    if "parsing a flow" not in stop.context or opening not in _CLOSING:
        return None
    closing, met = _CLOSING[opening], re.search(r"but got '(.*)'", stop.problem)
    if met and met.group(1) == "<stream end>":
        return _fault(stop.began, f"this {opening} is never closed; add {closing}")
    if met and met.group(1) in _CLOSING.values():
        return _fault(
            stop.began,
            f"this {opening} is still open at the {met.group(1)} of line {stop.at.line + 1}; add {closing}",
        )
    is_below = stop.at.line > stop.began.line
    if is_below and stop.indentation(stop.at.line) <= stop.indentation(stop.began.line):
        return _fault(stop.began, f"this {opening} is still open in line {stop.at.line + 1}; add {closing}")
    return _fault(
        stop.at,
        f"a comma or {closing} is expected before this; separate entries by commas, and put quotes around "
        "a text that has a colon and a space in it",
    )


def _second_colon(stop: _Stop) -> Fault | None:
    if stop.problem != "mapping values are not allowed here":
        return None
    if re.search(r":\s", stop.line(stop.at.line)[: stop.at.column]):
        return _fault(
            stop.at, "a text with a colon and a space in it is no plain text; put quotes around the text"
        )
    above = _line_above(stop)
    return _too_deep(stop, above) or _no_blank(stop, above)


def _too_deep(stop: _Stop, above: int) -> Fault | None:
    deeper = stop.indentation(stop.at.line) - stop.indentation(above)
    if above < 0 or deeper <= 0:
        return None
    return _fault(
        _Place(stop.at.line, stop.indentation(stop.at.line)),
        f"this line is indented further than line {above + 1}, which has a value already; remove "
        f"{deeper} space{'s' if deeper > 1 else ''}, or put quotes around a text of several lines",
    )


def _line_above(stop: _Stop) -> int:
    """The last line above that is neither empty nor a comment; -1 where there is none."""
    numbers = range(stop.at.line - 1, -1, -1)
    return next((number for number in numbers if _says_something(stop.line(number))), -1)


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _no_colon(stop: _Stop) -> Fault | None:
    if stop.problem != "could not find expected ':'":
        return None
    return _no_blank(stop, stop.began.line) or _fault(
        stop.began, "a key and its value are expected here, as KEY: VALUE; add what is missing"
    )


def _no_blank(stop: _Stop, number: int) -> Fault | None:
    found = _NO_BLANK.search(stop.line(number))
    return _fault(_Place(number, found.end() - 1), "a space is missing after this colon") if found else None


def _indentation(stop: _Stop) -> Fault | None:
    if not re.search(r"but found '<block (mapping|sequence) start>'", stop.problem):
        return None
    above = _line_above(stop)
    has_value = re.search(r":\s+[^\s#]", stop.line(above))
    return (has_value and _too_deep(stop, above)) or _fault(
        stop.at, "this line is indented as no other around it; align it with the lines that it belongs to"
    )


def _sign(stop: _Stop) -> Fault | None:
    found = re.search(r"found character '(.)' that cannot start any token", stop.problem)
    return (
        _fault(stop.at, f"no plain text begins with {found.group(1)}; put quotes around it")
        if found
        else None
    )


_RULES: tuple[Callable[[_Stop], Fault | None], ...] = (
    _unseen,
    _another_document,
    _open_quote,
    _open_bracket,
    _second_colon,
    _no_colon,
    _indentation,
    _sign,
)
