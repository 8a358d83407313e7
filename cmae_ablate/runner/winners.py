"""The winners of a search: each variant's best tuning trial, or its best of each seed's own tuning."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeAlias

from cmae_ablate.queue import JSON, CellStatus
from cmae_ablate.report.wording import Metric
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.study.search import Search


@dataclass(frozen=True)
class Winner:
    """A variant's best tuning trial.

    Attributes:
        trial: Its number.
        settings: What it tried, by key of the trial.
        value: The metric's mean over the tuning seeds.
        tried: The smallest and the largest number that its tuning tried, by key, also in trials that failed.
    """

    trial: int
    settings: Mapping[str, JSON]
    value: float
    tried: Mapping[str, tuple[float, float]] = field(default_factory=dict)


Winners: TypeAlias = "Mapping[str, Sequence[Winner]]"
"""By variant: one winner of the tuning that serves all seeds of the table, or one a seed, in their order."""


def winners(experiment: Experiment, statuses: Sequence[CellStatus]) -> Winners | None:
    """The complete trial of each tuning with the best mean, the earlier one where two are equal.

    Args:
        experiment: The study.
        statuses: Of its tuning trials.

    Returns:
        None while a trial is open or failed, for all variants have the same number of trials; and where no
        trial of a tuning came to its end with every seed.
    """
    if not all(status.is_done for status in statuses):
        return None
    search = search_of(experiment)
    sign = -1.0 if Metric.named(search.metric).lower_is_better else 1.0
    best: dict[tuple[str, int], Winner] = {}
    settings: dict[tuple[str, int], list[Mapping[str, JSON]]] = defaultdict(list)
    for (tuning, number, label), trained in by_trial(experiment, statuses).items():
        settings[label, tuning].append(trained[0].settings)
        values = [status.value for status in trained if status.value is not None]
        if len(values) < len(trained):
            continue  # one of them diverged or was pruned
        found = Winner(number, trained[0].settings, statistics.fmean(values))
        if (label, tuning) not in best or sign * found.value > sign * best[label, tuning].value:
            best[label, tuning] = found
    best = {key: replace(found, tried=_spans(settings[key])) for key, found in best.items()}
    tunings = range(search.tunings(experiment.study.seeds))
    labels = [variant.label for variant in experiment.variants]
    if len(best) < len(tunings) * len(labels):
        return None
    return {label: tuple(best[label, tuning] for tuning in tunings) for label in labels}


def _spans(settings: Sequence[Mapping[str, JSON]]) -> dict[str, tuple[float, float]]:
    """The smallest and the largest number of each key."""
    numbers: dict[str, list[float]] = defaultdict(list)
    for each in settings:
        for name, value in each.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                numbers[name].append(value)
    return {name: (min(values), max(values)) for name, values in numbers.items()}


def by_trial(
    experiment: Experiment, statuses: Sequence[CellStatus]
) -> dict[tuple[int, int, str], Sequence[CellStatus]]:
    """The trainings of each tuning trial, in the order of seeds, by tuning, number and variant.

    Tunings are counted from 0: where there are several, each has the number of the seed that it is for.
    """
    search = search_of(experiment)
    labels = [variant.label for variant in experiment.variants]
    keys = list(product(range(search.trials), labels))
    tunings = range(search.tunings(experiment.study.seeds))
    assert len(statuses) == len(tunings) * search.seeds * len(keys)
    # Cells come seed by seed, and the seeds of one tuning after those of the one before.
    block = search.seeds * len(keys)
    return {
        (tuning, *key): statuses[tuning * block : (tuning + 1) * block][place :: len(keys)]
        for tuning in tunings
        for place, key in enumerate(keys)
    }


def search_of(experiment: Experiment) -> Search:
    """The search of a study that has one."""
    search = experiment.study.search
    assert search is not None, f"{experiment.study.name} has no search"
    return search
