"""Where a variant's settings were made: in a level, by `--set`, in the study, or in the scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cmae_ablate.study.loading import Factor, Study
from cmae_ablate.study.settings import touches
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.study.yaml_source import KeyPath, TextOrigin

Chosen = Sequence[tuple[Factor, str]]
"""A variant's level of each factor."""


def level_place(factor: Factor, label: str, path: KeyPath) -> str:
    """Where a level says what the setting at `path` is."""
    return factor.origin.place((label, *path[len(factor.path) :]))


def place_of(study: Study, chosen: Chosen, path: KeyPath) -> str:
    """Where the setting at `path` was made last."""
    return _made(study, chosen, path, path) or f"{study.origin.place(())}: {'.'.join(path)}"


def with_places(study: Study, chosen: Chosen, spec: TrialSpec) -> TrialSpec:
    """The trial with its data set knowing where its options stand: what is wrong with files shows late."""
    data = spec["dataset"]
    places = {}
    for option in data.options:
        path = ("dataset", option)
        # What was left out belongs where the data set is named.
        place = _made(study, chosen, path, path) or _made(study, chosen, path, ("dataset", "name"))
        if place:
            places[option] = place
    return replace(spec, components={**spec.components, "dataset": replace(data, places=places)})


def _made(study: Study, chosen: Chosen, path: KeyPath, by: KeyPath) -> str:
    """The place of `path` in what set the setting `by` last; empty where nobody did."""
    for factor, label in reversed(chosen):
        if touches(factor.path, factor.levels[label], by):
            return level_place(factor, label, path)
    for change in reversed(study.base_changes):
        if touches(change.path, change.value, by):
            # An argument is its own place, and names only what it sets itself.
            key = f": {'.'.join(path)}" if isinstance(change.origin, TextOrigin) and by != path else ""
            return f"{change.origin.place(path[len(change.path) :])}{key}"
    return ""
