"""Any text as LaTeX that plain pdflatex sets: no package, no font beyond Computer Modern.

What Computer Modern has no glyph for is written in Latin letters where that is usual (Cyrillic, full-width
forms), else named by its code point; `replaced` says which characters of a text that happened to.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator

from cmae_ablate.report.tex_signs import ACCENTS, BELOW, EXACT, LATINISED

LONGEST_FORM = 12
"""Letters: longer compatible forms (of one Arabic ligature: 18) say less than a code point."""
DASHES = ("-", "\N{EN DASH}", "\N{EM DASH}")
_STEP = 15.0
"""Points between places where a word that is too wide may be broken."""
_WIDTHS = {
    **dict.fromkeys("ijl'.,:;|!I[]", 2.8),
    **dict.fromkeys("frst()-", 3.9),
    **dict.fromkeys("0123456789", 4.7),
    **dict.fromkeys("mwMW%@", 9.2),
    **dict.fromkeys("+=<>\N{MINUS SIGN}\N{PLUS-MINUS SIGN}\N{MULTIPLICATION SIGN}", 7.3),
    " ": 3.1,
}
_LOWER, _OTHER = 5.2, 7.4
_CODE_POINT = 45.0


def tex_text(text: str, room: float = math.inf) -> str:
    """The text in LaTeX's terms.

    Args:
        text: Of one line.
        room: Points, by `width`, that a line of it has: words that are wider may be broken, without a hyphen.
    """
    return " ".join(_word(word, room) for word in text.split(" "))


def width(text: str) -> float:
    r"""Points that a text takes in Computer Modern at nine points (`\small` of `article`), rounded up."""
    return sum(_width(cluster) for cluster in _clusters(text))


def _width(cluster: str) -> float:
    known = _WIDTHS.get(cluster, _LOWER if cluster.islower() else _OTHER)
    return known if cluster.isascii() or "U+" not in _set(cluster)[0] else _CODE_POINT * len(cluster)


def _word(word: str, room: float) -> str:
    breakable = room < math.inf and width(word) > room
    pieces: list[str] = []
    unbroken = 0.0
    for cluster in _clusters(word):
        if pieces and pieces[-1].endswith(("-", "`")) and cluster in DASHES:
            pieces.append("{}")  # no ligature of what are two signs
        pieces.append(_set(cluster)[0])
        unbroken += _width(cluster)
        if breakable and (unbroken >= _STEP or cluster in "-_/+=.,:;)]"):
            pieces.append(r"\allowbreak{}")
            unbroken = 0.0
    return "".join(pieces)


def replaced(*texts: str) -> dict[str, str]:
    """The characters, by first appearance, that are set as something else, and as what."""
    return {
        cluster: shown
        for text in texts
        for cluster in _clusters(text)
        for shown, exact in [_set(cluster)]
        if not exact
    }


def _clusters(text: str) -> Iterator[str]:
    """Characters, each with the combining marks that stand on it; what joins or directs is left out."""
    cluster = ""
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)
        if kind == "Cf" or "\N{VARIATION SELECTOR-1}" <= character <= "\N{VARIATION SELECTOR-16}":
            continue
        if cluster and kind in ("Mn", "Me", "Mc"):
            cluster += character
            continue
        if cluster:
            yield cluster
        cluster = character
    if cluster:
        yield cluster


def _set(cluster: str) -> tuple[str, bool]:
    """A cluster in LaTeX's terms, and whether that is what was asked for."""
    exact = EXACT.get(cluster) or (
        cluster if len(cluster) == 1 and " " <= cluster <= "~" else _accented(cluster)
    )
    return (exact, True) if exact is not None else (_otherwise(cluster), False)


def _accented(cluster: str) -> str | None:
    """A Latin letter under accents that Computer Modern has; None for any other."""
    base, *marks = list(unicodedata.normalize("NFD", cluster))
    if not marks or not (base.isascii() and base.isalpha()) or any(mark not in ACCENTS for mark in marks):
        return None
    shown = f"\\{base}{{}}" if base in "ij" and marks[0] not in BELOW else base
    for mark in marks:
        shown = f"\\{ACCENTS[mark]}{{{shown}}}"
    return shown


def _otherwise(cluster: str) -> str:
    """The nearest that can be set: Latin letters, a plain form, the bare letter, else its code point."""
    latinised = _latinised(cluster)
    if latinised is not None:
        return latinised
    compatible = unicodedata.normalize("NFKC", cluster)
    if compatible != cluster and len(compatible) <= LONGEST_FORM:
        return tex_text(compatible)
    base, *marks = list(unicodedata.normalize("NFD", cluster))
    if marks and _set(base)[1]:
        return _set(base)[0]
    return "".join(f"{{[}}U+{ord(character):04X}{{]}}" for character in cluster)


def _latinised(cluster: str) -> str | None:
    """In Latin letters, as passports and maps have it; None where there is no such custom here."""
    if cluster in LATINISED:
        return LATINISED[cluster]
    small = LATINISED.get(cluster.lower())
    return small.capitalize() if small is not None else None
