"""Names as a file spells them: `1.10`, `yes` and `0x10` stay what they are, however YAML would type them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from cmae_ablate.errors import UserError, looks, suggest
from cmae_ablate.study.yaml_source import YamlOrigin

PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""The regular expression of a name that can be read and printed."""
UNTOLD = "differ only in blanks, in characters that cannot be seen or in the Unicode form of a letter"

OUT = ("cache", "mlartifacts", "summary", "optuna.db", "mlflow.db")
"""What lies in every `--out` beside the studies' folders."""


def check_study_name(name: str, place: str) -> None:
    """Refuse a study whose folder would be one that `--out` has for something else.

    Args:
        name: The study's.
        place: What the message begins with.

    Raises:
        UserError: It would be.
    """
    if name.casefold() in OUT:
        raise UserError(
            f"{place}: --out keeps something else in {name}/, where the study's tables would go; "
            "rename the file"
        )


def check_spellings(origin: YamlOrigin, names: Iterable[str], *path: str) -> None:
    """Refuse names that a reader, or another program, could not tell apart.

    Raises:
        UserError: At the name.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not re.match(PRINTABLE, name) or not looks(name):
            raise origin.error((*path, name), f"{name!r} is no name; choose one that can be read and printed")
        twin = seen.setdefault(looks(name), name)
        if twin != name:
            raise origin.error(
                (*path, name),
                f"'{name}' and '{twin}' {UNTOLD} ({name!a} and {twin!a}); remove one of them, or rename it",
            )


def listed(origin: YamlOrigin, levels: Sequence[Any], *path: str) -> dict[str, Any]:
    """Levels that are their own labels.

    Raises:
        UserError: One stands there twice, in whatever spelling.
    """
    found: dict[str, Any] = {}
    for index, value in enumerate(levels):
        label = origin.text(*path, str(index))
        twin = next((name for name, other in found.items() if is_same(value, other)), None)
        if label in found or twin is not None:
            raise origin.error(
                (*path, str(index)),
                f"'{label}' is the level '{twin or label}' once more; remove one of them"
                + ("" if twin in (None, label) else ", or put quotes around both if they are texts"),
            )
        found[label] = value
    return found


def nearest(word: str, known: list[str]) -> str:
    """Say which of `known` was probably meant, or list them all."""
    twin = next((name for name in known if looks(name) == looks(word)), None)
    if twin is not None:
        return f"this and the level '{twin}' {UNTOLD} ({word!a} and {twin!a}); copy it from there"
    return suggest(word, known)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values set the same: 1 and 1.0 do, 1 and true do not."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return bool(one == other) and (numbers or type(one) is type(other))
