"""The key `search` of a study file: what is tuned for each variant before its table's seeds are trained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from cmae_ablate.errors import suggest
from cmae_ablate.study.keys import MAX_SEEDS, SEARCH, StudyKeys
from cmae_ablate.study.yaml_source import KeyPath

TUNING_SEED = MAX_SEEDS
"""The first of every tuning trial. Tables have the seeds below it: none of them has ever been tuned on."""
TRIAL_MARK = ", trial "
"""Between a variant's label and the number of a tuning trial, in the trial's label."""
SEARCH_KEYS = ("trials", "seeds", "metric", "space", "prune", "repeat")
DEFAULT_TRIALS, DEFAULT_METRIC = 10, "linear_probe.validation_top1"
DEFAULT_SEEDS = 3
MAX_TUNING_SEEDS = 100
_DRAWN = "points shared by all variants, at random"
ON_VALIDATION = "validation_"
"""How the metrics that evaluations compute on validation images begin, after the evaluation's label."""


@dataclass(frozen=True)
class Interval:
    """Numbers that a search may try, both ends included; whole numbers where both ends are."""

    low: float
    high: float
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Values: TypeAlias = "Interval | tuple[Any, ...]"


@dataclass(frozen=True)
class Search:
    """What a `search` study tunes for each variant before its table's seeds are trained.

    All variants try the same settings, drawn at random once: what differs between their winners is then not
    the luck of the draw. Each trial is trained with several seeds, and judged by their mean.

    One tuning serves all seeds of the table, whose intervals then hold given what it chose; or, with
    `repeat`, each seed has a tuning of its own, so that a pair of a variant and a seed is a tuning and a
    training, and the intervals over seeds hold the noise of both.

    Attributes:
        trials: Tuning trials of each variant, the same for all; those that are pruned count.
        seeds: Trainings of each trial, from `TUNING_SEED` on; with `repeat` these are the first table seed's,
            the next are the next one's, and so on.
        metric: What is tuned: a metric on validation data.
        space: Choices, or an interval, by key of the trial.
        prune: Whether trials whose validation accuracy lies below the median on the way are stopped early.
        repeat: Whether each seed of the table is tuned anew, with points and tuning seeds of its own.
    """

    trials: int
    metric: str
    space: Mapping[KeyPath, Values]
    prune: bool = False
    seeds: int = DEFAULT_SEEDS
    repeat: bool = False

    def tunings(self, table_seeds: int) -> int:
        """How often a variant is tuned for a table of so many seeds."""
        return table_seeds if self.repeat else 1

    def table_seed(self, tuning_seed: int) -> int:
        """The seed of the table that a tuning seed's training belongs to; 0 where one tuning serves all."""
        return (tuning_seed - TUNING_SEED) // self.seeds if self.repeat else 0

    @property
    def points(self) -> float:
        """How many different settings the space holds; infinite with any interval of real numbers."""
        return math.prod(_count(values) for values in self.space.values())

    @property
    def identity(self) -> str:
        """Tells searches apart whose trials must not be taken for each other's; more trials only add."""
        space = {".".join(path): _plain(values) for path, values in self.space.items()}
        # Where tunings repeat, the number of seeds decides whose seed is whose.
        repeated = [f"a tuning of {self.seeds} for each seed"] if self.repeat else []
        return json.dumps([self.metric, self.prune, space, _DRAWN, *repeated], sort_keys=True)


def read_search(keys: StudyKeys) -> Search | None:
    """What is tuned, if anything.

    Raises:
        UserError: The key is there and wrong.
    """
    if SEARCH not in keys.data:
        return None
    node = keys.mapping(SEARCH)
    for key in node:
        if key not in SEARCH_KEYS:
            raise keys.error((SEARCH, key), f"a search has no such key; {suggest(key, list(SEARCH_KEYS))}")
    if keys.data.get("budget", "epochs") != "epochs":
        raise keys.error(
            ("budget",), "a search is for equal epochs, the same for every trial; remove the key"
        )
    space = node.get("space")
    if not isinstance(space, dict) or not space:
        raise keys.error(
            (SEARCH,), "space is expected: the keys to tune, each with low and high or a list of choices"
        )
    metric = node.get("metric", DEFAULT_METRIC)
    if not isinstance(metric, str) or not metric.rpartition(".")[2].startswith(ON_VALIDATION):
        raise keys.error(
            (SEARCH, "metric"),
            f"a metric on validation data is expected, such as {DEFAULT_METRIC}: tables keep the test data",
        )
    for name in ("prune", "repeat"):
        if not isinstance(node.get(name, False), bool):
            raise keys.error((SEARCH, name), "true or false is expected")
    read = {tuple(name.split(".")): _values(keys, value, name) for name, value in space.items()}
    trials = _count_of(keys, node, "trials", DEFAULT_TRIALS, 100_000)
    seeds = _count_of(keys, node, "seeds", DEFAULT_SEEDS, MAX_TUNING_SEEDS)
    search = Search(trials, metric, read, node.get("prune", False), seeds, node.get("repeat", False))
    if search.trials > search.points:
        raise keys.error(
            (SEARCH, "trials"),
            f"{search.trials} trials, but the space holds {search.points:g} different settings; "
            "ask for no more trials than that",
        )
    return search


def _count_of(keys: StudyKeys, node: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = node.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise keys.error((SEARCH, name), f"a whole number from 1 to {most} is expected")
    return value


def _values(keys: StudyKeys, value: Any, name: str) -> Values:
    place = (SEARCH, "space", name)
    if isinstance(value, list) and value:
        if len({json.dumps(choice, default=str) for choice in value}) < len(value):
            raise keys.error(place, "a choice stands there twice; remove one")
        return tuple(value)
    if not isinstance(value, Mapping) or not {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        raise keys.error(place, "a list of choices, or {low: ..., high: ..., log: true|false}, is expected")
    low, high, log = value["low"], value["high"], value.get("log", False)
    if isinstance(low, bool) or isinstance(high, bool) or not isinstance(log, bool):
        raise keys.error(place, "low and high are numbers, log is true or false")
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not low < high:
        raise keys.error(place, "low must be a number below high")
    if not math.isfinite(low) or not math.isfinite(high):
        raise keys.error(place, "low and high must be finite")
    if log and low <= 0:
        raise keys.error(place, "low must be above 0 on a logarithmic scale")
    return Interval(low, high, log)


def _plain(values: Values) -> Any:
    return asdict(values) if isinstance(values, Interval) else list(values)


def _count(values: Values) -> float:
    if not isinstance(values, Interval):
        return len(values)
    return values.high - values.low + 1 if values.is_whole else math.inf
