"""How much of the differences between a search's trials each tuned key accounts for: fANOVA, by variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.searched import Searched, SearchedKey, TunedPoint
from cmae_ablate.report.wording import counted, is_or_are, listing, number, one_line, quoted

TRIALS_A_KEY = 10
"""Below so many trials a key, one key's share by chance alone is often a half and more."""
MOST_TRIALS = 100
"""More would take minutes, and tell hardly more; of more than ten keys as many as are needed count."""
SHUFFLES = 19
"""A share above that of all shuffles has a chance of 1 in 20 where the key does nothing."""
TREES, TREES_OF_A_SHUFFLE = 64, 8
"""Fewer trees give shares that scatter more: what chance can do is rather over- than understated."""
SEED = 0
HEADER = ("variant", "tuned key", "trials", "importance", "by chance up to")
COLUMNS = ("variant", "key", "trials", "importance", "chance")

_Row: TypeAlias = "tuple[str, str, int, float, float]"
"""A variant, a key, trials, the key's share, and its highest share by chance."""


@dataclass(frozen=True)
class Importance:
    """What a search's trials say of its keys.

    Attributes:
        table: One row a variant and tuned key, with `COLUMNS`: its share of the variance, and the highest of
            its shares over `SHUFFLES` shuffles of the values. Empty where no variant has enough trials.
        lines: The same as a reader sees it, under `HEADER`.
        caption: What the numbers are, and what they are not.
        notes: A sentence a variant, and why there is none of others.
    """

    table: pd.DataFrame
    lines: tuple[tuple[str, ...], ...]
    caption: str
    notes: tuple[str, ...]


def importance(searched: Searched | None, study: StudyDescription) -> Importance | None:
    """The importance of each tuned key for each variant; None where fewer than two keys were tuned.

    Functional analysis of variance (Hutter, Hoos, Leyton-Brown, 2014) of a random forest that is fitted to
    the variant's tuning trials: the share of the forest's variance over the searched ranges that a key
    accounts for alone. What is missing to 1 is what keys do together. Ranges count on the scale on which
    points were drawn: of a learning rate drawn on a logarithmic scale each decade counts alike. Where each
    seed has a tuning of its own, a trial counts by its distance from that tuning's mean: seeds differ, too.

    Args:
        searched: The tuning trials.
        study: Whose variants, in table order.
    """
    keys = [key for key in searched.keys if key.is_tuned] if searched else []
    if searched is None or len(keys) < 2:
        return None
    needed = TRIALS_A_KEY * len(keys)
    rows: list[_Row] = []
    short: dict[str, int] = {}
    flat: list[str] = []
    for variant in study.variants:
        # Drawn at random one by one, so that the first of them are a sample of all.
        points = [point for point in searched.points if point.variant == variant][: _most(keys)]
        if len(points) < needed:
            short[variant] = len(points)
        elif len({(point.tuning, point.value) for point in points}) == len({p.tuning for p in points}):
            flat.append(variant)
        else:
            rows += [(variant, name, len(points), *found) for name, found in _shares(keys, points).items()]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    lines = [
        (one_line(v), key, str(n), number(own, 2), number(by_chance, 2)) for v, key, n, own, by_chance in rows
    ]
    notes = (
        *_sentences(rows),
        *_omitted(keys, short, needed),
        *(
            [f"importance of tuned keys is not shown for {_named(flat)}: all trials have one value"]
            if flat
            else []
        ),
    )
    return Importance(table, tuple(lines), _caption(searched, keys, table), notes)


def _shares(keys: Sequence[SearchedKey], points: Sequence[TunedPoint]) -> dict[str, tuple[float, float]]:
    """By key: its share of the variance, and the highest that it has where values are shuffled."""
    values = _within_tunings(points)
    own = _fanova(keys, points, values, TREES)
    shuffler = np.random.default_rng(SEED)
    chance = [
        _fanova(keys, points, shuffler.permutation(values), TREES_OF_A_SHUFFLE) for _ in range(SHUFFLES)
    ]
    return {name: (share, max(each[name] for each in chance)) for name, share in own.items()}


def _within_tunings(points: Sequence[TunedPoint]) -> np.ndarray:
    """Each trial's value less the mean of those of its own tuning."""
    values, tunings = np.array([p.value for p in points]), np.array([p.tuning for p in points])
    for tuning in np.unique(tunings):
        values[tunings == tuning] -= values[tunings == tuning].mean()
    return values


def _fanova(
    keys: Sequence[SearchedKey], points: Sequence[TunedPoint], values: np.ndarray, trees: int
) -> dict[str, float]:
    """Each key's share of the forest's variance, in the order of `keys`."""
    import optuna  # with scikit-learn a second to import, for searches alone
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {key.name: _distribution(key) for key in keys}
    study = optuna.create_study()
    for point, value in zip(points, values, strict=True):
        # A choice is its number, as Optuna takes no number apart from others that it equals.
        params = {key.name: int(p) if key.choices else p for key in keys for p in [point.places[key.name]]}
        study.add_trial(create_trial(params=params, distributions=distributions, value=float(value)))
    found: Mapping[str, float] = FanovaImportanceEvaluator(n_trees=trees, seed=SEED).evaluate(study)
    return {key.name: float(found[key.name]) for key in keys}


def _distribution(key: SearchedKey) -> Any:
    """The key's range as Optuna's forest sees it.

    Always linear: Optuna's fANOVA would weigh a logarithmic range by its untransformed length, where the last
    of three decades is nine tenths of all.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if key.choices:
        return CategoricalDistribution(range(len(key.known)))
    return FloatDistribution(*key.bounds)


def _sentences(rows: Sequence[_Row]) -> Iterator[str]:
    """A sentence a variant, the keys in the order of their shares."""
    for variant in dict.fromkeys(variant for variant, *_ in rows):
        own = [row for row in rows if row[0] == variant]
        shares = [
            f"{key} {number(share, 2)}" + ("" if share > chance else " (no more than chance)")
            for _, key, _, share, chance in sorted(own, key=lambda row: -row[3])
        ]
        yield (
            f"importance of tuned keys for {quoted(variant)}, as shares of the variance between "
            f"{own[0][2]} tuning trials: {listing(shares)}; within the searched ranges only, and "
            "no share is a cause"
        )


def _omitted(keys: Sequence[SearchedKey], short: Mapping[str, int], needed: int) -> Iterator[str]:
    if not short:
        return
    counts = listing([f"{count} of {quoted(variant)}" for variant, count in short.items()])
    yield (
        f"importance of tuned keys is not shown where fewer than {needed} tuning trials came to their end, "
        f"{TRIALS_A_KEY} for each of {len(keys)} keys ({counts}): it would show what chance does"
    )


def _named(variants: Sequence[str]) -> str:
    return listing([quoted(variant) for variant in variants])


def _most(keys: Sequence[SearchedKey]) -> int:
    return max(MOST_TRIALS, TRIALS_A_KEY * len(keys))


def _caption(searched: Searched, keys: Sequence[SearchedKey], table: pd.DataFrame) -> str:
    shown = set(table["variant"])
    ended = Counter(point.variant for point in searched.points)
    apart = (
        " Each seed has a tuning of its own, and a trial counts by its distance from that tuning's mean."
        if len({point.tuning for point in searched.points}) > 1
        else ""
    )
    lost = sum(max(0, searched.planned.get(variant, 0) - ended[variant]) for variant in shown)
    left_out = (
        f" {counted(lost, 'trial')} that did not come to {'its' if lost == 1 else 'their'} end (stopped "
        f"early, failed or not run) {is_or_are(lost)} left out, which favours the good part of the ranges."
        if lost
        else ""
    )
    return (
        f"The share of the variance of {searched.metric} over the searched ranges that each tuned key "
        "accounts for alone (fANOVA of a random forest, Hutter et al. 2014); what is missing to 1 is what "
        f"keys do together. By chance: the most that the key got in {SHUFFLES} shuffles of the values; a "
        "share no higher says nothing. Shares hold within the searched ranges, at the points that were drawn "
        f"(at random; of a variant the first {_most(keys)} count), and for the tuning's seeds and validation "
        f"images; few trials mean little, and no share is a cause.{apart}{left_out}"
    )
