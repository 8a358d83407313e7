"""The tuning of a search study: trials that never see test images, and the winners that make its table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

import pandas as pd

from cmae_ablate.checkpoint import text_digest
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.queue import JSON, CellStatus
from cmae_ablate.report.selection import is_candidate
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.study.design import Variant
from cmae_ablate.study.search import ON_VALIDATION, TRIAL_MARK, TUNING_SEED, Interval, Search, Values
from cmae_ablate.study.search_space import corners, for_tuning, in_words, with_settings
from cmae_ablate.study.settings import brief

SEARCH_CSV = "search.csv"
ENOUGH_IMAGES = 3200
"""Validation images below which a search is told to be noisy."""
IMAGE_NOISE = 39.0
"""Standard deviation of one image's part in the difference of two encoders, in points: measured on ours."""
EDGE = 0.1
"""The part of a range, at either end, in which a winner is said to lie at the edge."""


def tuning_of(experiment: Experiment) -> Experiment:
    """The tuning trials of a study, as cells for the same queue and the same workers.

    Each is a variant of its own, `depth 1, trial 3`, trained with seeds that no table uses and evaluated
    by nothing but the tuned metric, on data whose test images are withheld.

    Args:
        experiment: A study with a search.
    """
    search = search_of(experiment)
    trials = [
        Variant(
            f"{variant.label}{TRIAL_MARK}{number}", variant.levels, for_tuning(variant.spec, search.metric)
        )
        for number, variant in product(range(search.trials), experiment.variants)
    ]
    study = replace(
        experiment.study,
        name=f"{experiment.study.name}/search",
        metric=search.metric,
        report=(),
        seeds=search.seeds,
        planned_seeds=TUNING_SEED + search.seeds,
        first_seed=TUNING_SEED,
    )
    data = {key: without_test(arrays) for key, arrays in experiment.data.items()}
    return Experiment(study, trials, data, experiment.places, is_tuning=True)


def without_test(data: DataArrays) -> DataArrays:
    """The data with the validation images in the place of the test images.

    The digest differs: nothing that is computed on them can be taken for a result on the whole data.
    """
    return replace(data, test=data.validation, digest=text_digest(f"{data.digest} without test"))


def on_validation(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a tuning trial without those that would be on test data, had it any."""
    own = ("pretrain", "params", "flops", "seconds", "memory")
    return {
        name: value
        for name, value in metrics.items()
        if name.partition(".")[0] in own
        or (name.rpartition(".")[2].startswith(ON_VALIDATION) and not is_candidate(name))
    }


def with_corners(experiment: Experiment) -> Experiment:
    """The study's variants and each of them with each end of the space: what must run before hour zero."""
    found = [
        replace(
            variant,
            label=f"{variant.label} with {_in_words(settings)}",
            spec=with_settings(variant.spec, settings),
        )
        for variant in experiment.variants
        for settings in corners(search_of(experiment))
    ]
    return replace(experiment, variants=[*experiment.variants, *found])


@dataclass(frozen=True)
class Winner:
    """A variant's best tuning trial.

    Attributes:
        trial: Its number.
        settings: What it tried, by key of the trial.
        value: The metric's mean over the tuning seeds.
    """

    trial: int
    settings: Mapping[str, JSON]
    value: float


def winners(experiment: Experiment, statuses: Sequence[CellStatus]) -> dict[str, Winner] | None:
    """The complete tuning trial of each variant with the best mean, the earlier one where two are equal.

    Args:
        experiment: The study.
        statuses: Of its tuning trials.

    Returns:
        None while a trial is open or failed, for all variants have the same number of trials; and where no
        trial of a variant came to its end with every seed.
    """
    if not all(status.is_done for status in statuses):
        return None
    sign = -1.0 if search_of(experiment).metric.endswith("loss") else 1.0
    best: dict[str, Winner] = {}
    for (number, label), trained in by_trial(experiment, statuses).items():
        values = [status.value for status in trained if status.value is not None]
        if len(values) < len(trained):
            continue  # one of them diverged or was pruned
        found = Winner(number, trained[0].settings, statistics.fmean(values))
        if label not in best or sign * found.value > sign * best[label].value:
            best[label] = found
    if len(best) < len(experiment.variants):
        return None
    return {variant.label: best[variant.label] for variant in experiment.variants}


def frozen(experiment: Experiment, won: Mapping[str, Winner]) -> Experiment:
    """The study with each variant's winning settings: what its table's seeds are trained with.

    Args:
        experiment: The study.
        won: From `winners`.
    """
    tuned = [
        replace(variant, spec=with_settings(variant.spec, won[variant.label].settings))
        for variant in experiment.variants
    ]
    search = search_of(experiment)
    notes = [tuning_note(search, {label: winner.settings for label, winner in won.items()})]
    notes += edge_notes(search, won)
    notes += few_images_note(experiment)
    return replace(experiment, variants=tuned, notes=tuple(notes))


def tuning_note(search: Search, chosen: Mapping[str, Mapping[str, JSON]] | None = None) -> str:
    """How settings were chosen, in the words of a caption; with what was chosen, as far as known."""
    pruned = ", some stopped early," if search.prune else ""
    seeds = f"{'' if search.seeds == 1 else f'each the mean of {search.seeds} seeds '}(from {TUNING_SEED} on)"
    note = (
        f"Tuned on validation images before any test image was looked at: {search.trials} "
        f"trial{'' if search.trials == 1 else 's'} a variant{pruned} {seeds}, which no table "
        f"uses, the same settings for every variant, drawn at random from {in_words(search)}; the best "
        f"{search.metric} won"
    )
    told = "; ".join(
        f"\u2018{label}\u2019 {_in_words(settings)}" for label, settings in (chosen or {}).items()
    )
    return (
        f"{note}{f': {told}' if told else ''}. Intervals and p-values hold given these tuned settings: what "
        "another tuning would have chosen is not in them."
    )


def edge_notes(search: Search, won: Mapping[str, Winner]) -> list[str]:
    """Which winners lie at the edge of what was tried: the best setting may lie beyond it."""
    found: dict[str, list[str]] = {}
    for label, winner in won.items():
        for path, values in search.space.items():
            name = ".".join(path)
            if edge := _edge(values, winner.settings[name]):
                found.setdefault(f"the {edge} of {name}", []).append(f"\u2018{label}\u2019")
    return [
        f"At {edge}: the winner of {', '.join(labels)}. The best setting may lie beyond; widen the range."
        for edge, labels in found.items()
    ]


def few_images_note(experiment: Experiment) -> list[str]:
    """Says where validation images are too few to tell settings apart."""
    count = min(len(data.validation) for data in experiment.data.values())
    if count >= ENOUGH_IMAGES:
        return []
    return [
        f"Settings are chosen on {count:,} validation images, whose noise alone is about "
        f"{IMAGE_NOISE / math.sqrt(count):.1f} points between two trainings; {ENOUGH_IMAGES:,} or more are "
        "advised."
    ]


def _edge(values: Values, value: JSON) -> str:
    """`lower end` or `upper end` where a value lies in the outer tenth of a range, else empty.

    Of a list of numbers the ends are its smallest and largest; other lists have none.
    """
    if not isinstance(values, Interval):
        numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
        if len(numbers) < max(2, len(values)):
            return ""
        return {min(numbers): "lower end", max(numbers): "upper end"}.get(cast("float", value), "")
    assert isinstance(value, int | float)
    low, high, place = (
        (math.log(values.low), math.log(values.high), math.log(value))
        if values.log
        else (values.low, values.high, value)
    )
    share = (place - low) / (high - low)
    return "lower end" if share <= EDGE else "upper end" if share >= 1 - EDGE else ""


def search_frame(experiment: Experiment, statuses: Sequence[CellStatus]) -> pd.DataFrame:
    """`search.csv`: one row a training of a tuning trial, with what it tried and what came out.

    Args:
        experiment: The study.
        statuses: Of its tuning trials.
    """
    search = search_of(experiment)
    won = winners(experiment, statuses) or {}
    rows: list[dict[str, Any]] = []
    for (number, label), trained in by_trial(experiment, statuses).items():
        for status in trained:
            row: dict[str, Any] = {"variant": label, "trial": number, "seed": status.cell.seed}
            row |= {"state": status.state}
            row |= {".".join(path): _cell(status.settings.get(".".join(path))) for path in search.space}
            wins = label in won and won[label].trial == number
            row |= {search.metric: status.value, "wins": wins, "reason": status.reason or ""}
            rows.append(row)
    return pd.DataFrame(rows)


def by_trial(
    experiment: Experiment, statuses: Sequence[CellStatus]
) -> dict[tuple[int, str], tuple[CellStatus, ...]]:
    """The trainings of each tuning trial, in the order of seeds, by number and variant."""
    search = search_of(experiment)
    labels = [variant.label for variant in experiment.variants]
    keys = list(product(range(search.trials), labels))
    assert len(statuses) == search.seeds * len(keys)
    # Cells come seed by seed.
    return {key: tuple(statuses[place :: len(keys)]) for place, key in enumerate(keys)}


def search_of(experiment: Experiment) -> Search:
    """The search of a study that has one."""
    search = experiment.study.search
    assert search is not None, f"{experiment.study.name} has no search"
    return search


def _in_words(settings: Mapping[str, JSON]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: JSON) -> str:
    return f"{value:.3g}" if isinstance(value, float) else brief(value)


def _cell(value: JSON) -> JSON:
    return value if value is None or isinstance(value, bool | int | float | str) else brief(value)
