"""The key `search` of a study file: what is tuned for each variant before its table's seeds are trained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from cmae_ablate.study.search_file import DEFAULT_SEEDS, SearchFile
from cmae_ablate.study.study_file import MAX_SEEDS
from cmae_ablate.study.yaml_source import KeyPath, YamlOrigin

TUNING_SEED = MAX_SEEDS
"""The first of every tuning trial. Tables have the seeds below it: none of them has ever been tuned on."""
TRIAL_MARK = ", trial "
"""Between a variant's label and the number of a tuning trial, in the trial's label."""
_DRAWN = "points shared by all variants, at random"


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


def read_search(file: SearchFile | None, origin: YamlOrigin) -> Search | None:
    """What is tuned, if anything.

    Args:
        file: The key `search`, checked.
        origin: Where the study stands.

    Raises:
        UserError: There are fewer settings than trials.
    """
    if file is None:
        return None
    space = {tuple(name.split(".")): _values(tried) for name, tried in file.space.items()}
    search = Search(file.trials, file.metric, space, file.prune, file.seeds, file.repeat)
    if search.trials > search.points:
        raise origin.error(
            ("search", "trials"),
            f"{search.trials} trials, but the space holds {search.points:g} different settings; "
            "ask for no more trials than that",
        )
    return search


def _values(tried: Any) -> Values:
    return Interval(**tried) if isinstance(tried, Mapping) else tuple(tried)


def _plain(values: Values) -> Any:
    return asdict(values) if isinstance(values, Interval) else list(values)


def _count(values: Values) -> float:
    if not isinstance(values, Interval):
        return len(values)
    return values.high - values.low + 1 if values.is_whole else math.inf
