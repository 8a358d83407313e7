"""Rows of a CSV that are of no variant of the study: left out, and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from cmae_ablate.errors import looks
from cmae_ablate.report.wording import counted, in_quotes


def foreign_notes(labels: Iterable[str], variants: Sequence[str]) -> Iterator[str]:
    """A sentence for each variant that is not the study's; of one that looks like its own, what differs.

    Args:
        labels: The variant of each row.
        variants: The study's.
    """
    for label, rows in Counter(labels).items():
        if label in variants:
            continue
        twin = next((own for own in variants if looks(own) == looks(label)), None)
        spelled = "" if twin is None else f": it is spelled {label!a}, and the study's own {twin!a}"
        yield f"{in_quotes(label)} ({counted(rows, 'row')}) is no variant here; left out{spelled}"
