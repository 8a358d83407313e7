"""Text from strangers: what of it a terminal may be shown, and what a spreadsheet would run."""

from __future__ import annotations

import re
import unicodedata

_UNSHOWN = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, separators of lines
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""They turn the reading direction, so that a text reads as another than it is; and the byte-order mark."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?%?", re.ASCII)


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


def is_formula(text: str) -> bool:
    """Whether a spreadsheet that opens a CSV would compute such a field instead of showing it."""
    return text.startswith(_FORMULA) and not _NUMBER.fullmatch(text)


def _is_shown(character: str) -> bool:
    return character not in _DIRECTIONS and unicodedata.category(character) not in _UNSHOWN


def _escaped(character: str) -> str:
    code = ord(character)
    # A lone surrogate is how the standard library holds a byte that is not UTF-8.
    is_byte = 0xDC80 <= code <= 0xDCFF
    return f"\\x{code - 0xDC00:02x}" if is_byte else character.encode("unicode_escape").decode("ascii")
