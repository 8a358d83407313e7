"""What the tuning trials of a search try: the same points for all variants, drawn at random once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from statistics import median
from typing import Any, Literal, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from cmae_ablate.files import JSON
from cmae_ablate.queue.cells import PlannedCell, by_cell, complete_trial
from cmae_ablate.study.search import TRIAL_MARK, Interval, Search, Values

Direction = Literal["maximize", "minimize"]
Settings: TypeAlias = "Mapping[str, JSON]"
UNPRUNED_TRIALS = 5
"""Nothing is pruned before as many trials of the variant, with the same seed, are complete."""
DRAWS = 20
"""Of settings that were not tried before; where all are known, the first untried ones of a finite space."""


@dataclass(frozen=True)
class Proposal:
    """What a claimed cell is to try.

    Attributes:
        settings: Values by key of the trial; empty for a cell of an enumerated design.
        params: The same as Optuna stores them.
        distributions: Where they were drawn from.
        reported: What earlier attempts at the cell found on the way, by step.
    """

    settings: Settings = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    reported: Mapping[int, float] = field(default_factory=dict)


class Proposals:
    """The points of a search, and which trials fall behind the others of their variant.

    Trial `n` of every variant, with every seed, tries point `n`: a sequence that follows from the search
    alone, whoever claims what when. Sharing it takes the luck of the draw out of the comparison: tuned by a
    sampler of its own, each of two identical methods may find the better corner. Where each seed of the table
    is tuned anew the sequence follows from that seed, too: the luck of the draw is noise between seeds then.

    Args:
        search: What is tuned.
    """

    def __init__(self, search: Search) -> None:
        self.prunes = search.prune
        self._search = search
        self._identity = search.identity
        self._space = {".".join(path): values for path, values in search.space.items()}
        self._distributions = {name: _distribution(values) for name, values in self._space.items()}
        self._is_finite = search.points < float("inf")
        self._drawn: dict[int, list[dict[str, JSON]]] = {}

    def propose(self, cell: PlannedCell, trials: Sequence[FrozenTrial]) -> Proposal:
        """Settings for a cell; to be called under the lock, like everything that adds trials.

        Args:
            cell: What was claimed.
            trials: All trials of the Optuna study.
        """
        reported: dict[int, float] = {}
        for attempts in _of_variant(cell, trials):
            if attempts[-1].user_attrs["cell"] == cell.id:
                for trial in attempts:
                    reported |= trial.intermediate_values
        number = int(cell.variant.rpartition(TRIAL_MARK)[2])
        settings = self.point(number, self._search.table_seed(cell.seed))
        return Proposal(settings, self._params(settings), self._distributions, reported)

    def point(self, number: int, table_seed: int = 0) -> dict[str, JSON]:
        """The settings of every variant's trial `number`, from 0; no two trials of a tuning have the same.

        Args:
            number: Of the trial.
            table_seed: Which seed of the table is tuned; 0 where one tuning serves all.
        """
        drawn = self._drawn.setdefault(table_seed, [])
        stream = f"{self._identity} seed {table_seed}" if self._search.repeat else self._identity
        while len(drawn) <= number:
            drawn.append(self._next_point(stream, drawn))
        return drawn[number]

    def is_hopeless(self, number: int, cell: PlannedCell, trials: Sequence[FrozenTrial]) -> bool:
        """Whether a trial's best report lies below the median of the variant's complete ones at that step.

        Each cell counts once, however many attempts it took: what it found is with its last. A report is an
        accuracy, whichever way the study's metric is better. The rule is Optuna's `MedianPruner`, which would
        have to be given the trials as a study of their own.
        """
        found = trials[number].intermediate_values
        done = [complete_trial(attempts) for attempts in _of_variant(cell, trials)]
        complete = [trial for trial in done if trial is not None and trial.state == TrialState.COMPLETE]
        if not (self.prunes and found and len(complete) >= UNPRUNED_TRIALS):
            return False
        others = [t.intermediate_values[max(found)] for t in complete if max(found) in t.intermediate_values]
        return bool(others) and max(found.values()) < median(others)

    def _next_point(self, stream: str, known: Sequence[Settings]) -> dict[str, JSON]:
        tried = {_text(point) for point in known}
        for draw in range(DRAWS):
            seed = _seed_of(f"{stream} {len(known)} {draw}")
            study = optuna.create_study(sampler=RandomSampler(seed))
            drawn = self._settings(study.ask(dict(self._distributions)).params)
            if _text(drawn) not in tried:
                return drawn
        # A space with fewer points than a variant has trials is refused, so that one is left.
        return next((point for point in self._points() if _text(point) not in tried), drawn)

    def _params(self, settings: Settings) -> dict[str, Any]:
        return {
            name: value if isinstance(self._space[name], Interval) else _label(value)
            for name, value in settings.items()
        }

    def _settings(self, params: Mapping[str, Any]) -> dict[str, JSON]:
        return {
            name: params[name]
            if isinstance(values, Interval)
            else next(choice for choice in values if _is_same(_label(choice), params[name]))
            for name, values in self._space.items()
        }

    def _points(self) -> Iterator[dict[str, JSON]]:
        if not self._is_finite:
            return
        ranges = [
            range(int(values.low), int(values.high) + 1) if isinstance(values, Interval) else values
            for values in self._space.values()
        ]
        for chosen in product(*ranges):
            yield dict(zip(self._space, chosen, strict=True))


def _of_variant(cell: PlannedCell, trials: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
    """The attempts at each tuning trial of the cell's variant under the current search, in their order."""
    return [
        attempts
        for attempts in by_cell(trials).values()
        if attempts[-1].user_attrs["fingerprint"] == cell.fingerprint
        and attempts[-1].user_attrs["levels"] == dict(cell.levels)
    ]


def _distribution(values: Values) -> BaseDistribution:
    if not isinstance(values, Interval):
        return CategoricalDistribution([_label(choice) for choice in values])
    if values.is_whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _label(choice: Any) -> Any:
    """A choice as Optuna stores it: lists and components as text."""
    return choice if choice is None or isinstance(choice, bool | int | float | str) else json.dumps(choice)


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _text(settings: Settings) -> str:
    return json.dumps(settings, sort_keys=True)


def _seed_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
