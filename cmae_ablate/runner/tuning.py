"""The tuning of a search study: trials that never see test images, and the winners that make its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmae_ablate.checkpoint import text_digest
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.queue import JSON, CellStatus
from cmae_ablate.report.searched import TABLE_SEED, SearchedKey
from cmae_ablate.report.selection import is_candidate
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.tuning_notes import edge_notes, few_images_note, in_line, tuning_note
from cmae_ablate.runner.winners import Winners, by_trial, search_of, winners
from cmae_ablate.study.design import Variant
from cmae_ablate.study.search import TRIAL_MARK, TUNING_SEED, Interval, Search
from cmae_ablate.study.search_file import ON_VALIDATION
from cmae_ablate.study.search_space import corners, for_tuning, with_settings
from cmae_ablate.study.settings import brief

if TYPE_CHECKING:
    import pandas as pd

SEARCH_FOLDER = "search"


def tuning_of(experiment: Experiment) -> Experiment:
    """The tuning trials of a study, as cells for the same queue and the same workers.

    Each is a variant of its own, `depth 1, trial 3`, trained with seeds that no table uses and evaluated
    by nothing but the tuned metric, on data whose test images are withheld. The seeds of a tuning follow each
    other; where each seed of the table has a tuning of its own, so do the tunings.

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
        name=f"{experiment.study.name}/{SEARCH_FOLDER}",
        metric=search.metric,
        report=(),
        seeds=search.seeds * search.tunings(experiment.study.seeds),
        planned_seeds=TUNING_SEED + search.seeds * search.tunings(experiment.study.planned_seeds),
        first_seed=TUNING_SEED,
    )
    data = {key: without_test(arrays) for key, arrays in experiment.data.items()}
    return Experiment(study, trials, data, experiment.places, is_tuning=True)


def tuning_folder(experiment: Experiment) -> Path:
    """Where the workers of a study's tuning leave their notes."""
    return experiment.folder / SEARCH_FOLDER


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
            label=f"{variant.label} with {in_line(settings)}",
            spec=with_settings(variant.spec, settings),
        )
        for variant in experiment.variants
        for settings in corners(search_of(experiment))
    ]
    return replace(experiment, variants=[*experiment.variants, *found])


def frozen(experiment: Experiment, won: Winners) -> Experiment:
    """The study with each variant's winning settings: what its table's seeds are trained with.

    Where each seed has a tuning of its own, the variants stay as they were and the cells have the settings.

    Args:
        experiment: The study.
        won: From `winners`.
    """
    search = search_of(experiment)
    notes = [tuning_note(search, won), *edge_notes(search, won), *few_images_note(experiment)]
    own = {
        (variant.label, seed): with_settings(variant.spec, winner.settings)
        for variant in experiment.variants
        for seed, winner in enumerate(won[variant.label])
    }
    if search.repeat:
        return replace(experiment, own_specs=own, notes=tuple(notes))
    tuned = [replace(variant, spec=own[variant.label, 0]) for variant in experiment.variants]
    return replace(experiment, variants=tuned, notes=tuple(notes))


def search_frame(experiment: Experiment, statuses: Sequence[CellStatus]) -> pd.DataFrame:
    """`search.csv`: one row a training of a tuning trial, with what it tried and what came out.

    Args:
        experiment: The study.
        statuses: Of its tuning trials.
    """
    import pandas as pd

    search = search_of(experiment)
    won = winners(experiment, statuses) or {}
    rows: list[dict[str, Any]] = []
    for (tuning, number, label), trained in by_trial(experiment, statuses).items():
        of_tuning = {TABLE_SEED: tuning} if search.repeat else {}
        for status in trained:
            row: dict[str, Any] = {"variant": label, **of_tuning, "trial": number, "seed": status.cell.seed}
            row |= {"state": status.state}
            row |= {".".join(path): _cell(status.settings.get(".".join(path))) for path in search.space}
            wins = label in won and won[label][tuning].trial == number
            row |= {search.metric: status.value, "wins": wins, "reason": status.reason or ""}
            rows.append(row)
    return pd.DataFrame(rows)


def searched_keys(search: Search) -> tuple[SearchedKey, ...]:
    """What was tuned, in the report's words: choices as `search_frame` writes them."""
    return tuple(
        SearchedKey(".".join(path), values.low, values.high, values.log, values.is_whole)
        if isinstance(values, Interval)
        else SearchedKey(".".join(path), choices=tuple(_field(value) for value in values))
        for path, values in search.space.items()
    )


def _field(value: JSON) -> str:
    cell = _cell(value)
    return "" if cell is None else str(cell)


def _cell(value: JSON) -> JSON:
    return value if value is None or isinstance(value, bool | int | float | str) else brief(value)
