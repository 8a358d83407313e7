"""What a report says of a search: how settings were chosen, which lie at an edge, how noisy that was."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import cast

from cmae_ablate.queue import JSON
from cmae_ablate.report.wording import counted
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.winners import Winner, Winners
from cmae_ablate.study.search import TUNING_SEED, Interval, Search, Values
from cmae_ablate.study.search_space import in_words
from cmae_ablate.study.settings import brief

ENOUGH_IMAGES = 3200
"""Validation images below which a search is told to be noisy."""
IMAGE_NOISE = 39.0
"""Standard deviation of one image's part in the difference of two encoders, in points: measured on ours."""
EDGE = 0.1
"""The part of a range, at either end, in which a winner is said to lie at the edge."""


def tuning_note(search: Search, won: Winners | None = None) -> str:
    """How settings were chosen, in the words of a caption; with what was chosen, as far as known."""
    pruned = ", some stopped early," if search.prune else ""
    of_seeds = "each of one seed" if search.seeds == 1 else f"each the mean of {search.seeds} seeds"
    seeds = f"{of_seeds} (from {TUNING_SEED} on)"
    each = " and seed" if search.repeat else ""
    note = (
        f"Tuned on validation images before any test image was looked at: "
        f"{counted(search.trials, 'trial')} a variant{each}{pruned} {seeds}, which no table "
        f"uses, the same settings for every variant, drawn at random from {in_words(search)}; the best "
        f"{search.metric} won"
    )
    if search.repeat:
        return (
            f"{note}. Each seed has a tuning of its own, with points drawn for it and tuning seeds that no "
            "other has: intervals include the tuning (on these validation images); what won is in search.csv."
        )
    told = "; ".join(
        f"\u2018{label}\u2019 {in_line(only.settings)}" for label, (only,) in (won or {}).items()
    )
    return (
        f"{note}{f': {told}' if told else ''}. Intervals and p-values hold given these tuned settings: what "
        "another tuning would have chosen is not in them."
    )


def edge_notes(search: Search, won: Winners) -> list[str]:
    """Which winners lie at the edge of a range, or of what was tried of it: the best may lie beyond."""
    found: dict[tuple[str, str], list[str]] = {}
    for label, each in won.items():
        for path, values in search.space.items():
            name = ".".join(path)
            ends = Counter(end for winner in each if (end := _end(values, name, winner)))
            for (edge, remedy), count in ends.items():
                of = f" ({count} of {len(each)} seeds)" if len(each) > 1 else ""
                found.setdefault((f"{edge} of {name}", remedy), []).append(f"\u2018{label}\u2019{of}")
    return [
        f"At the {edge}: the winner of {', '.join(labels)}. The best setting may lie beyond; {remedy}."
        for (edge, remedy), labels in found.items()
    ]


def _end(values: Values, name: str, winner: Winner) -> tuple[str, str] | None:
    """What a winner lies at the end of, and what to do; None where others were tried on both its sides."""
    value = winner.settings[name]
    if edge := _edge(values, value):
        return edge, "widen the range"
    low, high = winner.tried.get(name, (math.nan, math.nan))
    if low < high and value in (low, high):
        return f"{'largest' if value == high else 'smallest'} value tried", "more trials would tell"
    return None


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


def in_line(settings: Mapping[str, JSON]) -> str:
    """Settings in a line: `training.base_lr 0.001`."""
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: JSON) -> str:
    return f"{value:.3g}" if isinstance(value, float) else brief(value)
