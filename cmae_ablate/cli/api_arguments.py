"""What the functions for Python are called with, held to what the command line lets through."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from typing import Any

from cmae_ablate.errors import UserError


def path_text(value: object, argument: str) -> str:
    """A path, or a name, as text.

    Args:
        value: A text, or any path of Python's.
        argument: What it was given as.

    Raises:
        UserError: It is none, or empty.
    """
    found = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(found, str):
        raise _error(argument, value, "a text or a pathlib.Path is expected")
    return plain_text(found, argument)


def plain_text(value: object, argument: str) -> str:
    """A text that says something; an empty one may come of a variable that is not set.

    Raises:
        UserError: It is none.
    """
    if not isinstance(value, str):
        raise _error(argument, value, "a text is expected")
    if not value.strip():
        raise UserError(f"{argument}: it is empty, perhaps a variable that is not set; give a value")
    return value


def whole_number(value: object, argument: str) -> int:
    """An integer, NumPy's among them; what it must be at least is checked where the command line's is.

    Raises:
        UserError: It is another kind of value: `True` and 2.0 are no counts, and "3" is a text.
    """
    try:
        if not isinstance(value, bool):
            return operator.index(value)  # type: ignore[arg-type]  # it refuses what has no index
    except TypeError:
        pass
    raise _error(argument, value, "an integer is expected, as 3")


def settings_of(value: object) -> Mapping[str, Any]:
    """Changes by dotted key.

    Raises:
        UserError: It is no mapping, or a key is no text.
    """
    if not isinstance(value, Mapping):
        raise _error("settings", value, 'a mapping is expected, as {"training.epochs": 1}')
    for key in value:
        if not isinstance(key, str):
            raise _error("settings: a key", key, 'a text is expected, as "training.epochs"')
    return value


def _error(argument: str, value: object, expected: str) -> UserError:
    return UserError(f"{argument}: {repr(value)[:80]} ({type(value).__name__}); {expected}")
