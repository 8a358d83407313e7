"""On which machines cells were trained: only on the same ones do their seconds and memory compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cmae_ablate.report.frame import Cell, Pair
from cmae_ablate.report.wording import in_quotes, listing, seeds_of, seeds_words

MACHINE_COLUMNS = ("hardware", "device")
MACHINE_COSTS = ("seconds.pretrain", "memory.pretrain")
"""What differs between machines without any difference of the training."""

Condition = tuple[str, ...]
"""The file it was imported from, if any, and what the CSV says of the machine."""


@dataclass(frozen=True)
class Conditions:
    """On what each complete cell was trained, by variant and seed.

    A CSV does not say which of its rows were imported: of a report from one alone, its columns decide.
    """

    known: Mapping[str, Mapping[int, Condition]]

    @classmethod
    def of(cls, complete: pd.DataFrame, elsewhere: Mapping[Cell, str]) -> Conditions:
        """Of complete cells; those of `elsewhere` were imported, each file being a machine of its own."""
        found: dict[str, dict[int, Condition]] = defaultdict(dict)
        told = [complete[name].fillna("").astype(str) for name in MACHINE_COLUMNS if name in complete.columns]
        for variant, seed, *machine in zip(complete["variant"], complete["seed"], *told, strict=True):
            file = elsewhere.get((variant, int(seed)))
            whose = "" if file is None else f"elsewhere {file}"
            found[variant][int(seed)] = (whose, *(text.strip() for text in machine))
        return cls(found)

    def alike(self, *variants: str) -> bool:
        """Whether the machine costs of these compare: one machine for all, or in every seed the same."""
        found = [self.known.get(variant, {}) for variant in variants]
        machines = {condition for each in found for condition in each.values()}
        return len(machines) < 2 or all(each == found[0] for each in found)

    def one_machine(self, variant: str) -> bool:
        """Whether all cells of a variant were trained on the same."""
        return len({*self.known.get(variant, {}).values()}) < 2


def machine_notes(complete: pd.DataFrame, pairs: Sequence[Pair]) -> Iterator[str]:
    """What the CSV says of machines: unknown ones, several of them, and which of `pairs` they part."""
    for column in (name for name in MACHINE_COLUMNS if name in complete.columns):
        named = complete[column].notna() & (complete[column].astype(str).str.strip() != "")
        known = complete[named]
        for variant, rows in complete[~named].groupby("variant", sort=False) if named.any() else ():
            yield f"{seeds_of(variant, rows['seed'])}: {column} unknown, so seconds may not compare"
        kinds = list(dict.fromkeys(known[column].astype(str)))
        if len(kinds) > 1:
            yield f"mixed {column}: {listing(kinds)}; seconds do not compare, and numerics may differ"
            yield from _mixed_pairs(pairs, known, column)


def _mixed_pairs(pairs: Sequence[Pair], known: pd.DataFrame, column: str) -> Iterator[str]:
    """The comparisons whose two sides were trained on different machines under the same seed."""
    machines = known.pivot(index="seed", columns="variant", values=column)
    for variant, against in pairs:
        if {variant, against} <= set(machines.columns):
            both = machines[[variant, against]].dropna()
            mixed = both.index[both[variant] != both[against]]
            if len(mixed):
                pair = f"{in_quotes(variant)} against {in_quotes(against)}"
                yield f"{pair}: {seeds_words(mixed)} on different {column}s"
