"""Files of finished cells that are not there, or not as they were written: a note a fault, not one a cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from cmae_ablate.files import DamagedError, MissingError
from cmae_ablate.report.frame import Cell
from cmae_ablate.report.wording import counted, in_quotes, listing

GONE = (
    "not in the cache, so without curves, pictures and predictions; copy what is missing there, or run the "
    "study into another --out, to have them"
)


class FileFaults:
    """What a report could not read, gathered cell by cell."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str, str, bool], list[tuple[Cell, DamagedError]]] = defaultdict(list)
        self._gone: list[tuple[Cell, Path]] = []

    def add(self, cell: Cell, error: DamagedError, *, is_copied: bool = False) -> None:
        """A file of a cell; files of one kind with one fault are told together.

        `is_copied`: the cell was imported, and its files are copies: a run does not make them again.
        """
        self._faults[_kind(error.path), error.reason, is_copied].append((cell, error))

    def add_gone(self, cell: Cell, folder: Path) -> None:
        """A cell of which nothing is left but its numbers."""
        self._gone.append((cell, folder))

    def notes(self) -> Iterator[str]:
        """For a report: whose files, the first of them, and the remedy."""
        if self._gone:
            yield f"{_whose(self._gone)}: {_and_more(self._gone[0][1], len(self._gone))}: {GONE}"
        for (_, _, is_copied), found in self._faults.items():
            error = found[0][1]
            is_missing, is_one = isinstance(error, MissingError), len(found) == 1
            it, is_made = ("it", "it is made") if is_one else ("them", "they are made")
            copy = f"copy {it} {'there' if is_missing else 'again'}"
            again = f"run the study again, and {is_made} again"
            remedies = [*([copy] if is_missing or is_copied else []), *([] if is_copied else [again])]
            fault = error.reason if is_missing else f"damaged ({error.reason})"
            yield f"{_whose(found)}: {_and_more(error.path, len(found))}: {fault}; {', or '.join(remedies)}"


def _kind(path: Path) -> str:
    """What a file is, of whatever cell and evaluation: `crop`, `knn`."""
    return path.name.partition(".")[0].partition("-")[0]


def _whose(found: Sequence[tuple[Cell, object]]) -> str:
    """`‘a’, seed 0`; of several cells how many they are, and of which variants."""
    if len(found) == 1:
        variant, seed = found[0][0]
        return f"{in_quotes(variant)}, seed {seed}"
    variants = dict.fromkeys(in_quotes(variant) for (variant, _), _ in found)
    return f"{counted(len(found), 'cell')} ({listing([*variants])})"


def _and_more(path: Path, count: int) -> str:
    return f"{path} and {count - 1} more" if count > 1 else str(path)
