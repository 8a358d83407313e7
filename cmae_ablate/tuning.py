"""The tuning of a search study: trials that never see test images, and the winners that make its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pandas as pd

from cmae_ablate.arrays import DataArrays
from cmae_ablate.campaign import Campaign
from cmae_ablate.checkpoint import text_digest
from cmae_ablate.design import Variant
from cmae_ablate.queue import JSON, CellStatus
from cmae_ablate.search_keys import ON_VALIDATION, TUNING_SEED, Search
from cmae_ablate.selection import is_candidate
from cmae_ablate.settings import brief
from cmae_ablate.space import corners, for_tuning, in_words, with_settings

SEARCH_CSV = "search.csv"


def tuning_of(campaign: Campaign) -> Campaign:
    """The tuning trials of a study, as cells for the same queue and the same workers.

    Each is a variant of its own, `depth 1, trial 3`, trained with the seed that no table uses and evaluated
    by nothing but the tuned metric, on data whose test images are withheld.

    Args:
        campaign: A study with a search.
    """
    search = search_of(campaign)
    trials = [
        Variant(f"{variant.label}, trial {number}", variant.levels, for_tuning(variant.spec, search.metric))
        for number, variant in product(range(search.trials), campaign.variants)
    ]
    study = replace(
        campaign.study,
        name=f"{campaign.study.name}/search",
        metric=search.metric,
        report=(),
        seeds=1,
        planned_seeds=TUNING_SEED + 1,
        first_seed=TUNING_SEED,
    )
    data = {key: without_test(arrays) for key, arrays in campaign.data.items()}
    return Campaign(study, trials, data, campaign.places, is_tuning=True)


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


def with_corners(campaign: Campaign) -> Campaign:
    """The study's variants and each of them with each end of the space: what must run before hour zero."""
    found = [
        replace(
            variant,
            label=f"{variant.label} with {_in_words(settings)}",
            spec=with_settings(variant.spec, settings),
        )
        for variant in campaign.variants
        for settings in corners(search_of(campaign))
    ]
    return replace(campaign, variants=[*campaign.variants, *found])


def winners(campaign: Campaign, statuses: Sequence[CellStatus]) -> dict[str, CellStatus] | None:
    """The best complete tuning trial of each variant, the earlier one where two are equal.

    Args:
        campaign: The study.
        statuses: Of its tuning trials.

    Returns:
        None while a trial is open or failed, for all variants have the same number of trials; and where no
        trial of a variant came to its end.
    """
    if not all(status.is_done for status in statuses):
        return None
    sign = -1.0 if search_of(campaign).metric.endswith("loss") else 1.0
    best: dict[str, tuple[float, CellStatus]] = {}
    for (_, label), status in by_trial(campaign, statuses).items():
        if status.value is None:
            continue
        if label not in best or sign * status.value > best[label][0]:
            best[label] = (sign * status.value, status)
    if len(best) < len(campaign.variants):
        return None
    return {variant.label: best[variant.label][1] for variant in campaign.variants}


def frozen(campaign: Campaign, won: Mapping[str, CellStatus]) -> Campaign:
    """The study with each variant's winning settings: what its table's seeds are trained with.

    Args:
        campaign: The study.
        won: From `winners`.
    """
    tuned = [
        replace(variant, spec=with_settings(variant.spec, won[variant.label].settings))
        for variant in campaign.variants
    ]
    chosen = {label: status.settings for label, status in won.items()}
    return replace(campaign, variants=tuned, notes=(tuning_note(search_of(campaign), chosen),))


def tuning_note(search: Search, chosen: Mapping[str, Mapping[str, JSON]] | None = None) -> str:
    """How settings were chosen, in the words of a caption; with what was chosen, as far as known."""
    pruned = ", some stopped early," if search.prune else ""
    note = (
        f"Tuned on validation images before any test image was looked at: {search.trials} "
        f"trial{'' if search.trials == 1 else 's'} a variant{pruned} with seed {TUNING_SEED}, which no table "
        f"uses, over {in_words(search)}; the best {search.metric} won"
    )
    told = "; ".join(
        f"\u2018{label}\u2019 {_in_words(settings)}" for label, settings in (chosen or {}).items()
    )
    return f"{note}{f': {told}' if told else ''}."


def search_frame(campaign: Campaign, statuses: Sequence[CellStatus]) -> pd.DataFrame:
    """`search.csv`: one row a tuning trial, with what it tried and what came out.

    Args:
        campaign: The study.
        statuses: Of its tuning trials.
    """
    search = search_of(campaign)
    won = {status.cell.id for status in (winners(campaign, statuses) or {}).values()}
    rows: list[dict[str, Any]] = []
    for (number, label), status in by_trial(campaign, statuses).items():
        row: dict[str, Any] = {"variant": label, "trial": number, "seed": status.cell.seed}
        row |= {"state": status.state}
        row |= {".".join(path): _cell(status.settings.get(".".join(path))) for path in search.space}
        row |= {search.metric: status.value, "wins": status.cell.id in won, "reason": status.reason or ""}
        rows.append(row)
    return pd.DataFrame(rows)


def by_trial(campaign: Campaign, statuses: Sequence[CellStatus]) -> dict[tuple[int, str], CellStatus]:
    """Tuning trials by number and variant, in the order of running."""
    labels = [variant.label for variant in campaign.variants]
    return dict(zip(product(range(search_of(campaign).trials), labels), statuses, strict=True))


def search_of(campaign: Campaign) -> Search:
    """The search of a study that has one."""
    search = campaign.study.search
    assert search is not None, f"{campaign.study.name} has no search"
    return search


def _in_words(settings: Mapping[str, JSON]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: JSON) -> str:
    return f"{value:.3g}" if isinstance(value, float) else brief(value)


def _cell(value: JSON) -> JSON:
    return value if value is None or isinstance(value, bool | int | float | str) else brief(value)
