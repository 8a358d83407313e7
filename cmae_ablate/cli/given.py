"""What no command line may hold, whatever the command: an option or an argument that is empty."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cmae_ablate.errors import UserError

_EMPTY_OPTION = re.compile(r"(--[a-z-]+)=\s*")


def refuse_empty(words: Sequence[str]) -> None:
    """Refuse an empty text, which a shell hands over where a variable in quotes is not set.

    Taken for no `--storage`, it would let every machine train the whole study for itself; taken for a path,
    it is the working directory.

    Args:
        words: The command line, without the program.

    Raises:
        UserError: Something in it is empty.
    """
    for before, word in zip(("", *words), words, strict=False):
        joined = _EMPTY_OPTION.fullmatch(word)
        if word.strip() and joined is None:
            continue
        option = joined[1] if joined else before if before.startswith("-") else None
        place = option or f"cmae-ablate {before}".strip()
        what = "its value" if option else "an argument"
        raise UserError(
            f"{place}: {what} is empty, perhaps a shell variable that is not set; "
            f"give a value, or leave {option or 'it'} out"
        )
