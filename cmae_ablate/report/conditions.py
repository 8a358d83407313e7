"""On which machines cells were trained: only on the same ones do their seconds and memory compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cmae_ablate.report.cell_record import IMPORTED
from cmae_ablate.report.frame import Pair
from cmae_ablate.report.wording import in_quotes, listing, seeds_of, seeds_words

MACHINE_COLUMNS = ("hardware", "device")
MACHINE_COSTS = ("seconds.pretrain", "memory.pretrain")
"""What differs between machines without any difference of the training."""

Condition = tuple[str, ...]
"""Which imported file it is of, if any, and what the CSV says of the machine."""


@dataclass(frozen=True)
class Conditions:
    """On what each complete cell was trained, by variant and seed; each imported file is a machine."""

    known: Mapping[str, Mapping[int, Condition]]

    @classmethod
    def of(cls, complete: pd.DataFrame) -> Conditions:
        """Of complete cells, by what their columns say."""
        found: dict[str, dict[int, Condition]] = defaultdict(dict)
        names = [name for name in (IMPORTED, *MACHINE_COLUMNS) if name in complete.columns]
        told = [complete[name].fillna("").astype(str) for name in names]
        for variant, seed, *machine in zip(complete["variant"], complete["seed"], *told, strict=True):
            found[variant][int(seed)] = tuple(text.strip() for text in machine)
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
    """The comparisons whose two sides were trained on different machines under the same seed.

    One note for all that are parted in the same seeds, each variant with what it is compared with.
    """
    machines = known.pivot(index="seed", columns="variant", values=column)
    parted: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for variant, against in pairs:
        if {variant, against} <= set(machines.columns):
            both = machines[[variant, against]].dropna()
            mixed = both.index[both[variant] != both[against]]
            if len(mixed):
                parted[seeds_words(mixed)][variant].append(in_quotes(against))
    for seeds, compared in parted.items():
        told = (
            f"{in_quotes(variant)} against {listing(others, len(others))}"
            for variant, others in compared.items()
        )
        yield f"{'; '.join(told)}: {seeds} on different {column}s"
